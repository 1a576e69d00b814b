#!/bin/bash
# test_catalog.sh - the catalog: every entry is described, and one is fetched from a folder, run and searched.
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program

run list datasets
sed 1d out | awk '{ print $1 }' >names
check "VIBE has 24 sets" '[ "$(grep -c "(VIBE" out)" = 24 ]'
bad=
while read -r name; do
    run describe "$name"
    { [ $status = 0 ] && grep -q "^  licence: ." out && grep -q "^  base \|^  [a-zA-Z0-9_-]*_runbook " out; } || bad="$bad $name"
    # Whatever is fetched without https is marked.
    ! grep -E "from (http|ftp):" out | grep -vq "others on the way can change it" || bad="$bad $name"
done <names
check "every data set is described, with its licence" '[ -s names ] && [ -z "$bad" ]'

# Each set that a runbook of neurips23 names is there, but random-xs, which big-ann-benchmarks makes by scikit-learn.
wanted="random-xs-clustered msturing-1M msturing-10M msturing-10M-clustered msturing-30M-clustered msspacev-1M msspacev-10M
    wikipedia-1M wikipedia-35M msmarco-100M"
missing=
for set in $wanted; do grep -qx "$set" names || missing="$missing $set"; done
check "the sets of the runbooks are there" '[ -z "$missing" ]'

# A set of that shape in a folder of DRIFTLINE_DATA.
mkdir -p data/random-xs-clustered
python3 - <<'PY'
import array, random, struct
random.seed(3)
def write(name, n, dim):
    with open("data/random-xs-clustered/" + name, "wb") as f:
        f.write(struct.pack("<II", n, dim))
        array.array("f", (random.gauss(0, 1) for _ in range(n * dim))).tofile(f)
write("clu-random.fbin", 10000, 20)
write("queries_1000_20.fbin", 1000, 20)
with open("data/random-xs-clustered/clu_random_gt100", "wb") as f:
    f.write(struct.pack("<II", 1000, 100))
    array.array("I", (i % 10000 for i in range(100000))).tofile(f)
    array.array("f", [0.5] * 100000).tofile(f)
PY
export DRIFTLINE_DATA=$work/data
run fetch random-xs-clustered
check "fetch reads base, queries and ground truth" '[ $status = 0 ] && grep -q "base: 10000 x 20 f32" out &&
    grep -q "query: 1000 x 20 f32" out && grep -q "truth: 1000 x 100 i32" out'
cat >book.yaml <<'YAML'
random-xs-clustered:
  max_pts: 100
  1:
    operation: insert
    start: 0
    end: 5000
  2:
    operation: search
    start: 0
    end: 10
  3:
    operation: search
    start: 10
    end: 40
YAML
cat >stream.lua <<'LUA'
local data = dataset "random-xs-clustered"
experiment { k = 10, methods = { method { "flat" } },
  workload = function(w) w:runbook { "book.yaml", data, queries = data:queries(40) } end }
LUA
run run stream.lua --no-plots --out out.d
check "a runbook runs on it, with a warning of its max_pts and its ranges of queries" '[ $status = 0 ] &&
    grep -q "warning: .*book.yaml:3: random-xs-clustered: step 1: 5000 points are live, but max_pts is 100" err &&
    grep -q "\"count\": *30\b" out.d/stream/result.json'

truncate -s -1 data/random-xs-clustered/clu_random_gt100
rm -r "$DRIFTLINE_CACHE"
run fetch random-xs-clustered
check "a damaged file is named" '[ $status != 0 ] && grep -q "clu_random_gt100: truncated: 1000 rows of 100" err'

# Ids counted from 1 are converted to ids from 0.
printf '\2\0\0\0\2\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0' >from1.ibin
run convert from1.ibin from0.ibin --add -1
check "convert --add" '[ $status = 0 ] && [ "$(od -An -td4 from0.ibin | xargs)" = "2 2 0 1 2 3" ]'
run convert from0.ibin other.ibin --add -1
check "an id that would be negative" '[ $status = 2 ] && grep -q "row 1, column 1: with -1 it is negative" err && [ ! -e other.ibin ]'
run convert from0.ibin other.ibin --add x
check "what --add takes" '[ $status = 2 ] && grep -q -- "--add" err'
exit $failed
