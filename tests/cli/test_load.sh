#!/bin/bash
# test_load.sh - load: each preset on data of one's own, its table, and what it refuses.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
python3 - <<'PY'
import random, struct
random.seed(3)
for name, rows in ("mine.fvecs", 1500), ("few.fvecs", 300):
    with open(name, "wb") as out:
        for i in range(rows):
            out.write(struct.pack("<i8f", 8, *(random.gauss(random.randrange(5), .5) for _ in range(8))))
PY

# The kinds of the step add up to all operations; answers are right; without a limit none is late.
cat >sums.py <<'PY'
import json, sys
cells = json.load(open(sys.argv[1]))["cells"]
for cell in cells:
    step = next(s for s in cell["steps"] if s["op"] == "mix")
    stats = step["stats"]
    kinds = [k for k in ("search", "insert", "delete", "update") if k in stats]
    assert kinds == sys.argv[2].split(), kinds
    assert sum(stats[k]["done"] for k in kinds) == stats["all"]["done"] > 500
    assert stats["loop"] == sys.argv[3] and stats["all"]["late"] is None
    assert step["throughput_recall"]["mean"] == 1 and step["throughput_wrong_ids"] == 0 and step["recall"]["mean"] == 1
PY
for preset in "A search update" "B search update" "C search" "D search insert" "E search insert" "F search insert delete"; do
    run load mine.fvecs --preset "${preset%% *}" --method flat --set workers=1 --quick --no-plots --out results
    check "preset ${preset%% *}" \
        '[ $status = 0 ] && python3 sums.py results/load_${preset%% *}/result.json "${preset#* }" closed && grep -q "^flat *all " out'
done
run load mine.fvecs --preset f --method flat --method divf --rate 2000 --set workers=1 --set limit=1e6 --set seconds=.4 --no-plots --out results
check "a rate and two methods" \
    '[ $status = 0 ] && grep -q "^flat *search, alone" out && grep -q "^divf *delete " out && grep -q "jitter/load" out &&
        python3 -c "import json; s = json.load(open(\"results/load_F/result.json\"))[\"cells\"][0][\"steps\"][2][\"stats\"]; assert s[\"all\"][\"late\"] == s[\"all\"][\"skipped\"] == 0 and s[\"loop\"] == \"paced\""'
order() { cut -d" " -f2- "$1.orders"; } # without times
run load mine.fvecs --preset F --method divf --quick --set record=true --no-plots --out first
run load mine.fvecs --preset F --method hnsw --method flat --quick --set lock=true --set record=true --set replay="$PWD/first/load_F/cells/0.orders" --no-plots --out again
check "two methods, one of them under a lock, in the order that a third one had" \
    '[ $status = 0 ] && [ "$(wc -l <first/load_F/cells/0.orders)" -gt 500 ] &&
        cmp -s <(order first/load_F/cells/0) <(order again/load_F/cells/0) && cmp -s <(order first/load_F/cells/0) <(order again/load_F/cells/1)'
run load mine.fvecs --preset A --method flat --quick --set replay="$PWD/first/load_F/cells/0.orders" --no-plots --out again
check "the order of another load is refused" '[ $status = 2 ] && grep -q "0.orders:[0-9]*: operation [0-9]* is .* here: an order is replayed" err'
run load mine.fvecs --preset C --method flat --set p99=1000 --set operations=500 --set workers=1 --no-plots --out results
check "the largest rate" '[ $status = 0 ] && grep -q "found_rate/load" out'
run load mine.fvecs --preset B --method flat --quick --no-plots --out results
check "a method that needs a lock says so, without an empty table" '[ $status = 0 ] && grep -q "load. not supported: .*lock = true" out && ! grep -q "^method  *operation" out'
run load mine.fvecs --preset G
check "an unknown preset is refused" '[ $status = 2 ] && grep -q "preset=G: expected one letter of A to F" err'
run load few.fvecs
check "too few rows are refused" '[ $status = 2 ] && grep -q "rows are too few: at least 400 are needed" err'
run load no_such.fvecs
check "a missing file is refused" '[ $status = 2 ] && grep -q "^error: no_such.fvecs: No such file" err'
run load mine.fvecs --method no_such
check "an unknown method is refused" '[ $status = 2 ] && grep -q "no_such" err'
exit $failed
