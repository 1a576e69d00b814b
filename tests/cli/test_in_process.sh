#!/bin/bash
# test_in_process.sh - run --in-process: no cell has a process of its own, the result records that,
# and no command treats it as a measurement.
# Needs: schema
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
result() { # EXPRESSION of r, the result
    python3 -c 'import json, sys
r = json.load(open("results/small/result.json"))
sys.exit(not eval(sys.argv[1]))' "$1"
}

cat >small.lua <<'LUA'
local s = synthetic { kind = "gaussian", rows = 500, dim = 8 }
experiment {
  name = "small", k = 5, timeout = 60,
  workload = function(w)
    w:insert { s:rows(1, 500) }
    w:search { s:queries(20), tag = "q" }
  end,
  methods = { method { "flat", label = "a" }, method { "hnsw", label = "b" } },
  compare = { { "a", "b", budget = 2 } },
  claims = { { "the scan is exact", function(r) return r("a", "recall@5/q") == 1 end } },
}
LUA
run --out results small.lua
check "a run as ever" '[ $status = 0 ] && grep -q "^holds *the scan is exact\|^reproduced" out && result "r[\"run\"][\"in_process\"] is False"'
cp -r results/small apart
run run --in-process --out results --no-plots small.lua
check "a run without processes ends well" '[ $status = 0 ] && result "all(c[\"status\"] == \"ok\" for c in r[\"cells\"])"'
check "the finished result is kept aside" 'grep -q "is smaller (--in-process)" err && [ -d results/small/older ]'
check "the result says how it ran" 'result "r[\"run\"][\"in_process\"] and r[\"run\"][\"changed\"] == [\"--in-process\"]"'
check "so does the report" 'grep -q "Not the run that the config describes: --in-process" out'
check "its claims are not measured" 'grep -q "^not measured *the scan is exact" out'
check "pairs are not measured" 'result "\"--in-process\" in r[\"compare\"][0][\"verdict\"]"'
check "answers are scored" 'grep -q "^ *a  *1.0000" out'
keeps_to_schema results/small
run run --in-process --out fresh --no-plots small.lua
check "no cell is stored for --resume" '[ $status = 0 ] && [ ! -e fresh/small/cells ] && [ ! -e fresh/small/scratch ]'
run compare apart results/small
check "compare refuses it" '[ $status = 2 ] && grep -q "results/small: its cells ran in the harness.s process" err'

exit $failed
