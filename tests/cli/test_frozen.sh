#!/bin/bash
# test_frozen.sh - frozen.py sees a changed answer, a changed count and a missing cell, and leaves out what varies by itself.
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
mkdir build
ln -s "$program" build/driftline
ln -s "$program" harness
frozen() { "$root/src/build/frozen.py" --file frozen.tsv "$@" >out 2>err; status=$?; }

cat >steady.lua <<'LUA'
local data = synthetic { kind = "mixture", rows = 600, dim = 8, clusters = 6 }
experiment {
  name = "steady", k = 5,
  workload = function(w)
    w:insert { data:rows(1, 500) }
    w:search { data:queries(20), tag = "q" }
  end,
  methods = { method { "flat" }, method { "divf", params = { clusters = 8 }, sweep = { nprobe = { 1, 2 } } } },
}
LUA
cat >random.sh <<'SH'
#!/bin/sh
echo >>"$0.runs"
if [ "$1" = run ]; then shift; set -- run --seed "$(wc -l <"$0.runs")" "$@"; fi
exec "$(dirname "$0")/driftline" "$@"
SH
chmod +x random.sh

frozen steady.lua
check "a config that is not recorded fails" '[ $status = 1 ] && grep -q "steady.lua: not in frozen.tsv" out'
frozen --record steady.lua
check "three cells are recorded, and none varies" '[ $status = 0 ] && grep -q "steady.lua: 3 cells, 0 vary" out'
frozen steady.lua
check "the same program finds the same" '[ $status = 0 ] && grep -q "^ok *steady.lua: 0 of 3" out'

cp frozen.tsv whole.tsv
sed 's/\(divf\[nprobe=1\].*\t\)[0-9a-f]*$/\10/' whole.tsv >frozen.tsv
frozen steady.lua
check "an answer that differs fails, with its cell" '[ $status = 1 ] && grep -q "divf\[nprobe=1\]: digest [0-9a-f]*, was 0" out'
sed 's/\tflat\t/\tflat, gone\t/' whole.tsv >frozen.tsv
frozen steady.lua
check "a cell that is missing fails" '[ $status = 1 ] && grep -q "flat, gone: missing" out'
sed 's/steady.lua/absent.lua/' whole.tsv >frozen.tsv
frozen absent.lua
check "a config that does not run fails, and says why" '[ $status = 1 ] && grep -q "absent.lua does not run: .*absent.lua" out'
frozen --record absent.lua
check "and is not recorded" '[ $status = 0 ] && grep -q "absent.lua: not recorded, it does not run" out'
cp whole.tsv frozen.tsv

rm harness
mv random.sh harness
frozen --record steady.lua
check "cells that differ between two runs are left out" 'grep -q "steady.lua: 3 cells, 2 vary" out'
sed -i '/\tflat\t/d' frozen.tsv
frozen steady.lua
check "and fail nothing" '[ $status = 0 ] && grep -q "^skipped *steady.lua: all its cells vary" out'
exit $failed
