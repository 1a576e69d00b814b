#!/bin/bash
# test_build.sh - the Makefile over a tiny project: which files are rebuilt when,
# and with which flags.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
mkdir -p "$work/src/core" "$work/src/cli" "$work/kernels/avx2"
cp -r Makefile "$work/"
cp -r src/build "$work/src/"
cd "$work" || exit 1
# The parts left out keep this quick; a make of the tests must not hand its own settings on.
unset MAKEFLAGS MAKELEVEL MFLAGS CFLAGS DRIFTLINE_PORTABLE
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
#include <stdio.h>
int main(void)
{
    printf("%s portable=%d %s\n", BUILD_CFLAGS, BUILD_PORTABLE, BUILD_MODE);
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
check "other flags: all is compiled" '[ "$(compiled)" = 4 ]'
DRIFTLINE_PORTABLE=1 run make
check "portable: all is compiled, and the program knows" \
    '[ "$(compiled)" = 4 ] && build/driftline >told && grep -q "x86-64-v2 portable=1" told'
run make
check "and back" '[ "$(compiled)" = 4 ] && [ $status = 0 ]'

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
