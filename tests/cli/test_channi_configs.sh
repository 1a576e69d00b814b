#!/bin/bash
# test_channi_configs.sh - transactions, versions, attributes, saving and recovery of CHANNI run from Lua; damage and a
# full disk are reported.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program

cat >several.lua <<'EOT'
local d = synthetic { kind = "mixture", rows = 3000, dim = 16, clusters = 20, seed = 3 }
local owners = {}
for i = 1, 500 do owners[i] = i % 3 > 0 and "owner " .. i % 7 end
local function some()
  return { price = { uniform = { -5, 5 }, missing = .1 }, attribute = { classes = 20, skew = 1 },
    colour = { classes = 3, names = { "red", "green", "blue" }, missing = .3 } }
end
experiment { name = "several", title = "t", repeats = 1, k = 10,
  workload = function(w)
    local function ask(tag)
      w:search { d:queries(50), where = { price = { 0, math.huge }, colour = { "red", "blue" } }, tag = tag .. " two" }
      w:search { d:queries(50), where = { attribute = { 1, 9, ["not"] = { 3, 4 } }, colour = { missing = true } }, tag = tag .. " three" }
      w:search { d:queries(50), where = { 3, 4 }, tag = tag .. " short" }
    end
    w:insert { d:rows(1, 1500), attribute = { classes = 20 } }
    w:insert { d:rows(1501, 2000), attributes = some(), batch = 90, singles = 30, tag = "load" }
    w:snapshot { name = "then" }
    ask "first"
    w:begin {}
    w:delete { oldest = 1400 }
    w:insert { d:rows(2001, 2500), attributes = { owner = { values = owners } } }
    w:rollback {}
    ask "undone"
    w:begin {}
    w:insert { d:rows(2501, 3000), attributes = { owner = { values = owners }, colour = { classes = 2, names = { "blue", "black" } } } }
    w:search { d:queries(50), tag = "during" }
    w:commit { tag = "commit" }
    w:update { random = 300, with = d:rows(1, 300) }
    w:delete { d:rows(1, 500) }
    w:insert { d:rows(1, 500), attributes = some(), tag = "again" }
    w:maintain {}
    ask "after"
    w:search { d:queries(50), where = { owner = { "owner 1", "owner 2" } }, tag = "owner" }
    w:search { d:queries(50), where = { price = { 0, 5 }, colour = "red" }, as_of = "then", tag = "then" }
    w:release { name = "then" }
    w:recover {}
    ask "recovered"
    w:save {}
    w:reload {}
    ask "reloaded"
  end,
  methods = {
    method { "channi", params = { target_cluster = 50, cluster_index = "graph" }, knobs = { nprobe = 4000000, in_ef = 4000000 } },
    method { "channi", label = "rebuilt", rebuild = "again", params = { target_cluster = 50, cluster_index = "graph" }, knobs = { nprobe = 4000000, in_ef = 4000000 } },
    method { "flat" },
  },
}
EOT
"$program" run --no-plots --out results several.lua >out 2>err
status=$?
where() { # every answer is the truth; channi applies the conditions itself, but as of a snapshot
    python3 -c 'import json, sys
cells = json.load(open("results/several/result.json"))["cells"]
steps = [(c["label"], s) for c in cells for s in c["steps"] if s["op"] == "search" and s["status"] == "ok"]
own = sum("own attributes" in (s["note"] or "") for _, s in steps)
print(len(steps), own, [(l, s["tag"], s["recall"]["mean"]) for l, s in steps if s["recall"]["mean"] != 1])
sys.exit(0 if len(steps) == '"$1"' and own == '"$2"' and all(s["recall"]["mean"] == 1 and s["wrong_ids"] == 0 for _, s in steps) else 1)'
}
check "conditions on several attributes: changes, transactions, rebuild, recovery and saving keep them" '[ $status = 0 ] && where 52 32'

cat >old.lua <<'EOT'
local d = synthetic { kind = "mixture", rows = 500, dim = 8, clusters = 5, seed = 3 }
experiment { name = "old", title = "t", repeats = 1,
  workload = function(w) w:insert { d } w:save {} w:reload {} w:search { d:queries(5), tag = "q" } end,
  methods = { method { "spfresh", params = { wal = "written" } } } }
EOT
"$program" run --no-plots --out results old.lua >out 2>err
status=$?
check "a reload finds an empty folder, whatever the index kept in it before" '[ $status = 0 ]'

exit $failed
