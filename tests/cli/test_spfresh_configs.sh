#!/bin/bash
# test_spfresh_configs.sh - a small churn and a recovery of SPFresh give the expected results, on random rows in the shape
# of photo-sift.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program

python3 "$root/tests/cli/stand_ins.py" "$program" "$work/data" photo-sift || exit 1
export DRIFTLINE_DATA=$work/data

# A run of other sizes does not answer a claim, but its numbers are there: of that claim's, nothing wrong, nothing lost.
nothing_lost() { # NAME TEXT
    python3 -c 'import json, sys
claims = json.load(open("results/%s/result.json" % sys.argv[1]))["claims"]
claim, = [c for c in claims if sys.argv[2] in c["text"]]
values = claim["values"]
assert claim["holds"] is None and "--quick" in claim["why"], claim
assert len([v for v in values if "wrong_ids" in v]) >= 3, values
for name, value in values.items():
    assert "wrong_ids" not in name or value == 0, values
    assert not name.endswith("live/after") or value == values[name.replace("live/after", "live/before")], values' "$1" "$2"
}

"$program" run --quick --no-plots --out results --set rows=2000 --set steps=10 --set queries=50 \
    "$DRIFTLINE_ROOT/configs/spfresh/churn.lua" >out 2>err
status=$?
check "a small churn" '[ $status = 0 ] && nothing_lost spfresh_churn "no deleted vector is ever answered"'

"$program" run --quick --no-plots --out results --set rows=1000 --set rounds=2 --set first=200 --set queries=50 \
    "$DRIFTLINE_ROOT/configs/spfresh/recovery.lua" >out 2>err
status=$?
check "a small recovery" '[ $status = 0 ] && nothing_lost spfresh_recovery "nothing acknowledged is lost"'

exit $failed
