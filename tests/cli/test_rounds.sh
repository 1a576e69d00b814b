#!/bin/bash
# test_rounds.sh - paired rounds, from the key `compare` to a claim: queries as a batch and
# one at a time, range searches, one operation of a tag, and replays that end early when no
# more rounds are needed.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
compared() { # EXPRESSION of c, the entries of the result, by tag
    python3 -c 'import json, sys
c = {e["tag"]: e for e in json.load(open(sys.argv[1]))["compare"]}
sys.exit(not eval(sys.argv[2]))' "results/$1/result.json" "$2"
}

# Rounds of one insertion take replays, which end before the last step.
cat >floats.lua <<'LUA'
local data = synthetic { kind = "mixture", rows = 4000, dim = 16, clusters = 10 }
local lists = { clusters = 16 }
experiment {
  name = "floats", timeout = 60,
  workload = function(w)
    w:train { data:rows(1, 1000) }
    w:insert { data:rows(1, 1000), tag = "come" }
    w:insert { data:rows(1001, 2000), tag = "come" }
    w:search { data:queries(20), tag = "ask" }
    w:insert { data:rows(2001, 4000), tag = "more" }
  end,
  methods = { method { "flat", label = "all" }, method { "divf", label = "lists", params = lists, sweep = { nprobe = { 1, 2 } } },
              method { "divf", label = "others", params = lists, ablations = { { "fewer", { clusters = 8 } } } } },
  compare = {
    { "lists[nprobe=1]", "all", tags = { "ask", "come#2" }, within = 10, budget = 300 },
    { "others", "others[fewer]", tags = "ask", single = true, budget = 300, within = 10 },
  },
  claims = {
    { "there is a ratio of the search and of one of two insertions", function(r)
      return r.ratio("lists[nprobe=1]", "all", "ask") > 0 and r.ratio("all", "lists[nprobe=1]", "come#2") > 0
    end },
    { "the other insertion was not asked for", function(r) return r.ratio("lists[nprobe=1]", "all", "come#1") > 0 end },
  },
}
LUA
run check floats.lua
check "check prints the pairs" '[ $status = 0 ] && grep -q "^lists.nprobe=1. *all *ask and 1 more *1000 % *300 s" out'
check "and says which are of single queries" 'grep -q "^others *others.fewer. *ask, one at a time *1000 % *300 s" out'
run run --no-plots --out results floats.lua
check "two kinds of rounds are measured" '[ $status = 0 ] && compared floats "c[\"come#2\"][\"op\"] == \"insert\" and c[\"come#2\"][\"replays\"] >= 5"'
check "a claim has them" 'grep -q "^holds *there is a ratio" out && grep -q "were not measured in rounds on \"come#1\"" out'
check "nothing is measured that was not asked for" 'compared floats "set(c) == {\"ask\", \"come#2\"} and c[\"ask\"][\"single\"]"'
check "a report says that queries went one at a time" 'grep -q "others *others.fewer. *ask, one at a time" out'
sed 's/nprobe=1\]", "all", tags/nprobe=3]", "all", tags/' floats.lua >wrong.lua
run check wrong.lua
check "a point that is none is an error, with the one that was meant" \
    '[ $status = 2 ] && grep -q "compare: no cell has a point \"lists.nprobe=3.\"; did you mean \"lists.nprobe=" err'

cat >codes.lua <<'LUA'
local codes = synthetic { kind = "uniform", rows = 20000, clusters = 5, members = 10, radius = 4 }
experiment {
  name = "codes",
  workload = function(w)
    w:insert { codes, tag = "load" }
    for _, radius in ipairs { 0, 4, 12 } do w:range { codes:queries(5), radius = radius, tag = "range" } end
  end,
  methods = { method { "hamming-scan", label = "scan" }, method { "mih", label = "tables" } },
  compare = { "tables", "scan", tags = { "range#2", "range#3" }, single = true, within = 10, budget = 300 },
}
LUA
run run --no-plots --out results codes.lua
check "range searches have rounds, at one radius of several" \
    '[ $status = 0 ] && compared codes "set(c) == {\"range#2\", \"range#3\"} and c[\"range#3\"][\"rounds\"] >= 8 and c[\"range#2\"][\"op\"] == \"range\""'

exit $failed
