# What is wrong in a file of one's own is named with its place.
# shellcheck shell=bash
cat >own.lua <<'LUA'
local f = file(option("path", "own.csv", "what to read"))
experiment {
  name = "own", k = 2,
  workload = function(w) w:insert { f:rows(1, 4) }; w:search { f:rows(5, 6), tag = "q" } end,
  methods = { method { "flat" } },
}
LUA
printf '1,2\n3,nan\n5,6\n7,8\n1,2\n7,9\n' >nan.csv
run run --no-plots --out r --set path=nan.csv own.lua
printf 'a,b\nc,d\n' >words.csv
run run --no-plots --out r --set path=words.csv own.lua
run check --out none --set path=missing.csv own.lua
