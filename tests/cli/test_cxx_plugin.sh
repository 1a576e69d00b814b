#!/bin/bash
# test_cxx_plugin.sh - methods in C++: the headers compile as C++17, `make test-plugin` runs the contract tests on
# tests/plugins/cxx.cc, which allocates with `new`, and finds the fault planted in it; its memory is that of the process.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
. tests/cli/tree.sh
command -v g++ >/dev/null || { echo "ok # SKIP no g++"; exit 0; }
unset MAKEFLAGS MAKELEVEL MFLAGS
flags=(-std=c++17 -Wall -Wextra -Werror -I.)

for header in src/core/{index,mem,error,param,topk,parallel,rng,idmap} kernels/kernels; do
    echo "#include \"$header.h\"" | g++ "${flags[@]}" -fsyntax-only -x c++ - >"$work/out" 2>&1
    status=$?
    check "$header.h is C++17" '[ $status = 0 ]'
done

plugin() { g++ "${flags[@]}" -O2 -fPIC -shared -o "$work/$1.so" "${@:2}" tests/plugins/cxx.cc; }
plugin good && plugin broken -DCXX_BROKEN && plugin prunes -DCXX_PRUNES || exit 1

# In a copy: the logs of this tree's contract tests are being written meanwhile.
here=$PWD out=$work/out
built_tree "$work/tree"
cd "$work/tree" || exit 1
make test-plugin SO="$work/good.so" >"$out" 2>&1
status=$?
check "a method that allocates with new passes the contract" '[ $status = 0 ] && grep -qE "^[1-9][0-9]* passed, 0 failed" $out'
CMOCKA_TEST_FILTER='history*' make test-plugin SO="$work/broken.so" >"$out" 2>&1
status=$?
check "one that loses rows does not" '[ $status != 0 ] && grep -q "FAILED.*history: cxx" $out'
check "the line with the seed repeats it for the plugin" 'grep -q "rerun with DRIFTLINE_SEED=[0-9]* DRIFTLINE_TEST_PLUGIN=.*broken.so. " $out'
CMOCKA_TEST_FILTER='work*' make test-plugin SO="$work/prunes.so" >"$out" 2>&1
status=$?
check "an exact one that compares fewer rows than there are, and counts no bytes, does" '[ $status = 0 ] && grep -qE "^[1-9][0-9]* passed, 0 failed" $out'
CMOCKA_TEST_FILTER='history*' make test-plugin SO="$work/broken.so" SETTINGS='::exhaustive ::short' >"$out" 2>&1
check "with settings it is tested at each, and the command that repeats it has plugin and settings" \
    '[ $(grep -c "FAILED.*history: cxx$" $out) = 4 ] && grep -q "again: DRIFTLINE_TEST_PLUGIN=.*broken.so. DRIFTLINE_TEST_SETTINGS=.::exhaustive ::short. make test T=" $out'
make test-plugin SO="$work/good.so" SETTINGS='::exhausted' >"$out" 2>&1
status=$?
check "a flag of settings that does not exist is named" '[ $status != 0 ] && grep -q "no flag is called \"exhausted\"" $out'
make test-plugin SO="$work/none.so" >"$out" 2>&1
status=$?
check "a file that is not there is named" '[ $status != 0 ] && grep -q "none.so\" is not a file" $out'

cd "$here" || exit 1
own_program
cat >cxx.lua <<'LUA'
experiment {
  name = "cxx",
  workload = function(w)
    w:insert { synthetic { kind = "mixture", rows = 20000, dim = 256 }, tag = "load" }
    w:search { (synthetic { kind = "mixture", rows = 20000, dim = 256 }):queries(10), tag = "ask" }
  end,
  methods = { method { "cxx" } },
}
LUA
run run --plugin ./good.so --no-plots --out r cxx.lua
check "it runs as a plugin" '[ $status = 0 ]'
field() { grep -o "\"$1\": *[0-9a-z.]*" r/cxx/result.json | head -1 | grep -o '[0-9a-z.]*$'; }
check "the process counts its 20 MB" '[ "$(field rss_bytes)" -gt 18000000 ] && [ "$(field accounted_bytes)" = null ]'

echo 'static void __attribute__((constructor)) crash(void) { __builtin_trap(); }' | gcc -shared -fPIC -x c -o crash.so -
run list methods --plugin ./crash.so
check "one that crashes while it is loaded is named" '[ $status = 2 ] && grep -q "^error: plugin ./crash.so, .*: crashed (SIGILL)" err'

exit $failed
