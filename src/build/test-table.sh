#!/bin/sh
# test-table.sh TEST... - prints the C table of a test binary: tests/run/run.h says what is in it.
#
# A TEST is tests/KIND/.../NAME, without .c. Its main(), or its LLVMFuzzerTestOneInput(), was compiled
# under another name, which the Makefile and this script make from the path: / becomes _.
set -eu

echo '/* Written by src/build/test-table.sh. */'
echo '#include "tests/run/run.h"'
for test; do
    name=$(printf '%s' "$test" | tr / _)
    case $test in
        tests/fuzz/*)
            printf 'fuzz_target %s;\nfuzz_begin %s_begin __attribute__((weak));\n' "$name" "$name"
            ;;
        *) printf 'int %s(void);\n' "$name" ;;
    esac
done
echo 'const struct test test_table[] = {'
for test; do
    name=$(printf '%s' "$test" | tr / _)
    case $test in
        tests/fuzz/*) printf '    { "%s", NULL, %s, %s_begin },\n' "${test#tests/}" "$name" "$name" ;;
        *) printf '    { "%s", %s, NULL, NULL },\n' "${test#tests/}" "$name" ;;
    esac
done
echo '    { NULL, NULL, NULL, NULL },'
echo '};'
