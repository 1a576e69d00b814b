#!/bin/bash
# test_channi_configs.sh - the configs of CHANNI can be read without any data at hand; transactions, versions, attributes,
# saving and recovery run from Lua; damage and a full disk are told.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
program=$work/driftline
cp -L build/driftline "$program"
export DRIFTLINE_ROOT=$PWD DRIFTLINE_CACHE=$work/cache NO_COLOR=1
unset DRIFTLINE_DATA DRIFTLINE_KERNELS
cd "$work" || exit 1

"$program" list methods >peers
if [ "$(grep -c "^hnswlib \|^faiss-ivf-flat " peers)" = 2 ]; then
    for config in "$DRIFTLINE_ROOT"/configs/channi_*.lua "$DRIFTLINE_ROOT"/configs/bars_channi*.lua; do
        "$program" check --quick "$config" >out 2>err
        status=$?
        check "$(basename "$config") can be read" '[ $status = 0 ] && grep -q "^distances" out'
    done
fi

cat >both.lua <<'EOT'
local d = synthetic { kind = "mixture", rows = 3000, dim = 16, clusters = 20, seed = 3 }
experiment { name = "both", title = "t", repeats = 1, k = 10,
  workload = function(w)
    w:insert { d:rows(1, 2000), attribute = { classes = 20 }, tag = "load" }
    w:snapshot { name = "then" }
    w:begin {}
    w:delete { random = 200 }
    w:insert { d:rows(2001, 2300), attribute = { classes = 20 } }
    w:search { d:queries(50), tag = "during" }
    w:rollback {}
    w:search { d:queries(50), tag = "undone" }
    w:begin {}
    w:delete { random = 200 }
    w:insert { d:rows(2301, 3000), attribute = { classes = 20 } }
    w:commit { tag = "commit" }
    w:maintain {}
    w:search { d:queries(50), tag = "after" }
    w:search { d:queries(50), as_of = "then", tag = "then" }
    w:search { d:queries(50), where = { 3, 4 }, tag = "where" }
    w:release { name = "then" }
    w:recover {}
    w:search { d:queries(50), tag = "recovered" }
    w:save {}
    w:reload {}
    w:search { d:queries(50), tag = "reloaded" }
  end,
  methods = {
    method { "channi", params = { target_cluster = 50 }, knobs = { nprobe = 4000000, in_ef = 4000000 } },
    method { "channi", label = "codes", params = { target_cluster = 50, inside = "codes", eps0 = 12, cold_rows = true, cache_mb = 1 },
      knobs = { nprobe = 4000000 } },
  },
}
EOT
"$program" run --no-plots --out results both.lua >out 2>err
status=$?
exact() { # every recall of every search is 1, no answer is wrong
    python3 -c 'import json, sys
cells = json.load(open("results/both/result.json"))["cells"]
steps = [s for c in cells for s in c["steps"] if s["op"] == "search"]
sys.exit(0 if len(steps) == 14 and all(s["recall"]["mean"] == 1 and s["wrong_ids"] == 0 for s in steps) else 1)'
}
check "transactions, versions, attributes, recovery, saving: at exhaustive knobs every answer is the truth" '[ $status = 0 ] && exact'

cat >old.lua <<'EOT'
local d = synthetic { kind = "mixture", rows = 500, dim = 8, clusters = 5, seed = 3 }
experiment { name = "old", title = "t", repeats = 1,
  workload = function(w) w:insert { d } w:save {} w:reload {} w:search { d:queries(5), tag = "q" } end,
  methods = { method { "spfresh", params = { journal = "written" } } } }
EOT
"$program" run --no-plots --out results old.lua >out 2>err
status=$?
check "a reload finds an empty folder, whatever the index kept in it before" '[ $status = 0 ]'

for params in 'split_max = 100, merge_min = 60' 'top_M = 40, top_M0 = 8' 'target_cluster = 1' 'inside = "tree"' 'target = 5'; do
    cat >bad.lua <<EOT
local d = synthetic { kind = "mixture", rows = 500, dim = 8, clusters = 5, seed = 3 }
experiment { name = "bad", title = "t", repeats = 1,
  workload = function(w) w:insert { d } w:search { d:queries(5) } end,
  methods = { method { "channi", params = { $params } } } }
EOT
    "$program" run --no-plots --out results bad.lua >out 2>err
    status=$?
    check "$params: refused, and why" '[ $status != 0 ] && cat out err | grep -Eq "merge_min|top_M0|target_cluster|inside|target"'
done

exit $failed
