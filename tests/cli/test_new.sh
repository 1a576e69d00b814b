#!/bin/bash
# test_new.sh - `new NAME` in a built copy of the project: the skeleton becomes a method that builds, is
# listed, and passes its tests.
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
. tests/cli/tree.sh
unset MAKEFLAGS MAKELEVEL MFLAGS
built_tree "$work/tree"
cd "$work/tree" || exit 1
export DRIFTLINE_ROOT=$PWD

build/driftline new tiny >out 2>err
status=$?
check "a new method is made, built and tested" \
    '[ $status = 0 ] && [ -s algorithms/tiny/tiny.c ] && grep -q "METHOD(tiny_ops)" algorithms/registry.def'
check "its tests ran and passed" 'grep -qE "^[1-9][0-9]* passed, 0 failed" out'
check "its folder and names are where lint looks for them" 'src/build/layout.py build/release/obj >layout 2>&1 && grep -q "^algorithms/tiny  *tiny_$" src/build/layout.txt'
check "README and tutorial show as many" '[ "$(grep -lxF "$(grep " passed, 0 failed" out)" README.md docs/tutorial.md | wc -l)" = 2 ]'

check "nothing of the skeleton's name is left in it" '! grep -q skeleton algorithms/tiny/tiny.c'
check "nor what is true of the skeleton alone" '! grep -qE "smallest|harness new|Driftline\"" algorithms/tiny/tiny.c'
check "its head names it" 'head -1 algorithms/tiny/tiny.c | grep -qF "/* tiny.c - what it is"'
build/driftline list methods >out 2>err
check "it is listed" 'grep -q "^tiny " out'
build/driftline new tiny >out 2>err
status=$?
check "a second of the same name is refused" '[ $status = 2 ] && grep -q already err'
for word in int index; do
    build/driftline new $word >out 2>err
    status=$?
    check "the name $word, which does not compile, changes nothing" \
        '[ $status = 2 ] && grep -q "is a word of C" err && [ ! -e algorithms/$word ] && ! grep -q "METHOD(${word}_ops)" algorithms/registry.def'
done

exit $failed
