#!/bin/sh
# run-test.sh OUT TEST [ARGUMENT...] - runs one test of a build in this process; TEST is tests/KIND/.../NAME.
#
# OUT/tests has several binaries; the Makefile says why. With the ARGUMENT --methods it prints the methods of a contract
# test instead: see tests/run/run.c.
out=$1 test=${2%.c}
shift 2
apart=$out/tests/apart/${test#tests/}
if [ -x "$apart" ]; then
    exec "$apart" "$test" "$@"
fi
case $test in
    tests/contract/*) exec "$out/tests/run-contract" "$test" "$@" ;;
    *) exec "$out/tests/run" "$test" "$@" ;;
esac
