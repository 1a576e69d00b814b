#!/bin/bash
# test_letters.sh - labels with letters that no font has: gnuplot's PNG and PDF would draw their codes over the whole figure.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
export DRIFTLINE_MIN_TIME=0
lacking=$(printf '\364\217\277\275') # U+10FFFD, for private use: no font has it
cat >letters.lua <<LUA
local data = synthetic { kind = "gaussian", rows = 300, dim = 8 }
experiment { name = "letters", title = "T" .. option("letter", "$lacking"), k = 5,
  workload = function(w) w:insert { data } w:search { data:queries(20), tag = "q" } end,
  methods = { method { "flat", label = "caf\u{E9}" .. option("letter", "$lacking") }, method { "flat", label = "b" } },
  figures = { { "pareto", x = "qps", y = "recall@5" }, { "bars", y = "recall@5" } } }
LUA
run run --quiet --out r letters.lua
check "one warning names the letters that no font has" '[ $status = 0 ] && [ "$(grep -c "^warning: figures: no font here has the letters $lacking; .*apt-get install" err)" = 1 ]'
check "SVG has the letters" 'grep -q "café$lacking" r/letters/01-*.svg'
# The same figure with boxes in its strings has the same PNG.
box='\0342\0226\0241'
cp -r r/letters boxes
for gp in boxes/*.gp; do sed -i 's/\\0364\\0217\\0277\\0275/\\0342\\0226\\0241/g; s/^n_printed = .*/n_printed = 0/' "$gp"; done
drawn=0
for gp in r/letters/*.gp; do
    name=$(basename "$gp" .gp)
    (cd boxes && gnuplot --default-settings "$name.gp" 2>gnuplot.log)
    cmp -s "boxes/$name.png" "r/letters/$name.png" && grep -qF "$box" "boxes/$name.gp" && drawn=$((drawn + 1))
done
check "PNG has boxes in their place" '[ $drawn = 2 ]'
run run --quiet --force --out r --set letter=ab letters.lua
check "letters that a font has stay, without a warning" '[ $status = 0 ] && ! grep -q "no font" err && ! grep -q "PRINTED.1. =" r/letters/*.gp'

exit $failed
