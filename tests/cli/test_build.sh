#!/bin/bash
# test_build.sh - the Makefile over a tiny project: which files are rebuilt when,
# and with which flags.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
mkdir -p "$work/src/core" "$work/src/cli" "$work/kernels/avx2"
cp -r Makefile "$work/"
cp -r src/build "$work/src/"
cp -r src/core/stamp "$work/src/core/"
cd "$work" || exit 1
# The parts left out keep this quick; a make of the tests must not hand its own settings on.
unset MAKEFLAGS MAKELEVEL MFLAGS V CFLAGS DRIFTLINE_PORTABLE
export DRIFTLINE_WITHOUT="faiss hnswlib usearch hdf5 rocksdb cuda"

cat >src/core/one.h <<'C'
int one(void);
C
cat >src/core/one.c <<'C'
#include "src/core/one.h"
int one(void)
{
    return 1;
}
C
cat >src/cli/main.c <<'C'
#include "build_info.h"
#include "src/core/one.h"
#include "src/core/stamp/stamp.h"
#include <stdio.h>
int main(void)
{
    printf("%s portable=%d %s\n", BUILD_CFLAGS, BUILD_PORTABLE, BUILD_MODE);
    printf("%s commit %s%s\n", build_stamp.version, build_stamp.git_commit, build_stamp.git_dirty ? " (changed)" : "");
    return one() - 1;
}
C
cat >kernels/scalar.c <<'C'
void add(float *restrict a, const float *restrict b, int n);
void add(float *restrict a, const float *restrict b, int n)
{
    for (int i = 0; i < n; i++)
        a[i] += a[i] * b[i];
}
C
sed "s/add/add_avx2/" kernels/scalar.c >kernels/avx2/table.c

run() {
    "$@" >out 2>&1
    status=$?
}
compiled() { grep -cE '^  CC ' out; }
code() { objdump -d "build/release/obj/kernels/$1.c.o"; }

run make
check "builds" '[ $status = 0 ] && build/driftline >told && grep -q -- "-O3 -march=native portable=0 release" told'
run make
check "nothing changed: nothing compiled" '[ $status = 0 ] && [ "$(compiled)" = 0 ]'
sleep 0.02
touch src/core/one.h
run make
check "a header's users are compiled, no others" '[ "$(compiled)" = 2 ] && ! grep -q kernels out'
run make CPPFLAGS=-DCHANGED
check "other flags: all is compiled" '[ "$(compiled)" = 5 ]'
DRIFTLINE_PORTABLE=1 run make
check "portable: all is compiled, and the program knows" \
    '[ "$(compiled)" = 5 ] && build/driftline >told && grep -q "x86-64-v2 portable=1" told'
run make
check "and back" '[ "$(compiled)" = 5 ] && [ $status = 0 ]'

# What names the sources is one object of the program, and is not among those that tests link.
as_told() { # TEXT: the build compiled the stamp and linked the program, and that says TEXT; no object of a test is compiled
    run make all build/release/obj/src/core/stamp/stamp.c.o
    [ "$status" = 0 ] && build/driftline >told && grep -qF "$1" told &&
        [ "$(grep -E '^  [A-Z]' out)" = "  CC    build/release/build_stamp.c"$'\n'"  LINK  build/release/driftline" ]
}
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
run make build/release/obj/src/core/stamp/stamp.c.o
check "tests have a stamp of their own" '[ "$(compiled)" = 1 ] && grep -q "CC    src/core/stamp/stamp.c" out'
git init -q . && git add Makefile src kernels && git commit -qm one
commit=$(git rev-parse HEAD)
check "a commit compiles the stamp alone" 'as_told " commit $commit"'
check "and is clean" '! grep -q changed told'
git commit -q --allow-empty -m two
check "so does one that changes nothing" 'as_told " commit $(git rev-parse HEAD)"'
echo >src/core/note.txt
check "so does a file that is in no commit" 'as_told " commit $(git rev-parse HEAD) (changed)"'
sed -i 's/^VERSION := .*/VERSION := 9.8.7/' Makefile
check "so does another version" 'as_told "9.8.7 commit "'

check "the oracle is neither vectorised nor contracted" '! code scalar | grep -qE "[yz]mm|mulps|addps|fmadd"'
check "an instruction set's file is compiled for it" 'code avx2/table | grep -q ymm'

echo 'int f(int a, long b) { int c = b; return a + c; }' >>src/core/one.c
run make
check "a warning stops the build" '[ $status != 0 ] && grep -q "one.c" out'
sed -i '$d' src/core/one.c
rm src/core/one.h
sed -i '1d' src/core/one.c
sed -i '/one.h/d; 1i int one(void);' src/cli/main.c src/core/one.c
run make
check "a header may go" '[ $status = 0 ]'

run make help
check "help lists every target that has a purpose" \
    '[ $status = 0 ] && [ "$(wc -l <out)" = "$(grep -c "^## " Makefile)" ] && grep -q "^  test  " out'
rm -rf build
run make help
check "help configures nothing" '[ ! -e build ]'

exit $failed
