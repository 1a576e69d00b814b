#!/bin/bash
# test_fetch.sh - recipes of data sets: side by side, killed at any step, and with other bytes than the catalog's.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
export DRIFTLINE_ROOT=$work/root HOLD=$work/hold
mkdir -p root/datasets/recipes hold
cp "$root/datasets/recipes/recipe.sh" root/datasets/recipes/

# A recipe of three steps. It waits at a step while hold/STEP is there, and with hold/NAME.meet for the other recipe.
for name in one two; do
    cat >root/datasets/recipes/$name <<SH
#!/bin/sh
. "\$(dirname "\$0")/recipe.sh"
name=$name
SH
    cat >>root/datasets/recipes/$name <<'SH'
for step in 1 2 3; do
    say "step $step"
    while [ -e "$HOLD/$step" ]; do sleep .05; done
done
if [ -e "$HOLD/$name.meet" ]; then
    : >"$HOLD/$name.came"
    for try in $(seq 600); do [ -e "$HOLD/one.came" ] && [ -e "$HOLD/two.came" ] && break; sleep .05; done
    [ "$try" -lt 600 ] || die "the other recipe did not run meanwhile"
fi
printf '\002\000\000\000\003\000\000\000%s' "${ROWS:-abcdef}" >"$out/query.u8bin.new"
mv "$out/query.u8bin.new" "$out/query.u8bin"
printf '\005\000\000\000\003\000\000\000abcdefghijklmno' >"$out/base.u8bin.new"
mv "$out/base.u8bin.new" "$out/base.u8bin"
SH
    chmod +x root/datasets/recipes/$name
done
base=$(printf '\005\000\000\000\003\000\000\000abcdefghijklmno' | sha256sum | cut -d' ' -f1)
query=$(printf '\002\000\000\000\003\000\000\000abcdef' | sha256sum | cut -d' ' -f1)
cat >root/datasets/catalog.lua <<LUA
local function set(recipe)
  return { about = "five rows", metric = "l2", element = "u8", rows = 5, dim = 3, minutes = 2, licence = "none", files = {
    { part = "base", file = "base.u8bin", sha256 = "$base", sources = { { recipe = recipe } } },
    { part = "query", file = "query.u8bin", sha256 = "$query", sources = { { recipe = recipe } } } } }
end
return { one = set "one", two = set "two" }
LUA

run list datasets
check "list says what is made here, and how long it takes" '[ $status = 0 ] && grep -q "^one .*made here, 2 min" out'

for step in 1 2 3; do
    for signal in KILL INT; do
        rm -rf cache
        : >hold/$step
        : >err # what is read there tells that it has begun
        "$program" fetch one >out 2>err &
        fetching=$!
        until grep -q "step $step" err || ! kill -0 $fetching 2>/dev/null; do sleep .02; done
        kill -$signal $fetching
        wait $fetching
        status=$?
        rm hold/$step
        check "ended by $signal in step $step, it leaves no file that is not whole" \
            '[ $status != 0 ] && [ -z "$(find cache -name "*.u8bin*" -o -name "*.npy*")" ]'
        run fetch one
        check "and goes on when it is called again" '[ $status = 0 ] && grep -q "one base: 5 x 3 u8" out && grep -q "one query: 2 x 3" out'
    done
done
run list datasets
check "what was made is at hand" '[ $status = 0 ] && grep -q "^one .*at hand" out && grep -q "^two .*made here" out'

rm -rf cache
touch hold/one.meet hold/two.meet
run fetch one two
check "two sets are made side by side" '[ $status = 0 ] && grep -q "one base: 5 x 3 u8" out && grep -q "two base: 5 x 3 u8" out'
check "with the steps of both" 'grep -q "fetch one/base: step" err && grep -q "fetch two/base: step" err'
rm hold/*
run fetch one three two
check "a name that is not known is an error, and the others are fetched" \
    '[ $status = 2 ] && grep -q "no dataset \"three\"" err && grep -q "one base" out && grep -q "two base" out'

rm -rf cache
ROWS=ABCDEF run fetch one
other=$(printf '\002\000\000\000\003\000\000\000ABCDEF' | sha256sum | cut -c1-16)
check "other bytes than the catalog's are used, with a warning" \
    '[ $status = 0 ] && grep -q "one/query: other bytes than the catalog.s.*sha256 $other" err && ! grep -q "one/base: other" err'
check "and named" 'grep -q "one query: 2 x 3 u8, sha256 $other" out'
cat >one.lua <<'LUA'
local s = dataset "one"
experiment { name = "one", k = 1, methods = { method { "flat" } },
  workload = function(w) w:insert { s }; w:search { s:queries(2), tag = "q" } end }
LUA
run run --no-plots --out r one.lua
check "a result has the sha256 of what was used" \
    '[ $status = 0 ] && grep -q "$other" r/one/result.json && grep -q "$base" r/one/result.json && grep -q "other bytes" err'

exit $failed
