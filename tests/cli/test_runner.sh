#!/bin/bash
# test_runner.sh - src/build/run-tests.sh: one line per passed test, the log of a failed one; a
# sanitizer's report is a failure.
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
DRIFTLINE_ROOT=$PWD
runner=$PWD/src/build/run-tests.sh
unset V
tests=$work/build/asan/tests
mkdir -p "$tests/unit" "$tests/contract"
cd "$work" || exit 1

# Stand-ins for the test binaries run scripts. They get a test's name as make has it.
for binary in run run-contract; do
    printf '#!/bin/sh\nexec "%s/${1#tests/}" "$@"\n' "$tests" >"$tests/$binary"
    chmod +x "$tests/$binary"
done
program() { # KIND/NAME: a test whose script is the input
    { echo '#!/bin/sh'; cat; } >"$tests/$1"
    chmod +x "$tests/$1"
}
runs() { # NAME...: tests of tests/unit
    runs_all "${@/#/tests/unit/}"
}
runs_all() { # TEST...
    "$runner" build/asan "" "$@" >out 2>err
    status=$?
}
program unit/fine <<'S'
echo "a long log"; echo "[  PASSED  ] 3 test(s)."
S
program unit/partly <<'S'
echo "skipped: no device"; echo "[  PASSED  ] 2 test(s)."; echo "[  SKIPPED ] 1 test(s), listed below:"
S
program unit/none <<'S'
echo "skipped: built without FAISS"
S
program unit/wrong <<'S'
echo "why it failed"; echo "[  PASSED  ] 1 test(s)."; echo "[  FAILED  ] 2 test(s), listed below:"; exit 2
S
program unit/leaks <<'S'
echo "[  PASSED  ] 3 test(s)."; echo "==7==ERROR: LeakSanitizer: detected memory leaks"; exit 23
S
program unit/child <<'S'
echo "[  PASSED  ] 3 test(s)."; echo "x.c:7:3: runtime error: signed integer overflow"
S

runs fine partly none
check "a line for each that passed" '[ $status = 0 ] && grep -qE "^ok +tests/unit/fine +3 cases" out && ! grep -q "a long log" out'
check "why cases were skipped" 'grep -q "1 skipped: no device$" out && grep -q "1 skipped: built without FAISS$" out'
check "the count and the mode" 'tail -n 1 out | grep -qx "5 passed, 0 failed, 2 skipped (asan)"'
V=1 runs fine
check "V=1 shows the log" 'grep -q "a long log" out'
runs wrong fine
check "the log of what failed, and how to run it again" \
    '[ $status = 1 ] && grep -q "why it failed" out && grep -q "make asan T=unit/wrong" out && grep -q "4 passed, 2 failed" out'
runs leaks
check "a leak fails though all cases passed" \
    '[ $status = 1 ] && grep -q "^FAILED" out && grep -q "3 passed, 1 failed: exit status 23, ERROR: LeakSanitizer: detected memory leaks" out'
runs child
check "so does a report of a process that a test started" \
    '[ $status = 1 ] && grep -q "3 passed, 1 failed: runtime error: signed integer overflow" out'

program contract/each <<'S'
[ "$2" != --methods ] || { echo one; echo other; exit; }
echo "method $DRIFTLINE_TEST_METHOD"
[ "$DRIFTLINE_TEST_METHOD" = one ] || exit 1
S
runs_all tests/contract/each
check "a contract test is a job for each method, and repeated for the one that failed" \
    '[ $status = 1 ] && grep -q "^ok  *tests/contract/each:one " out && grep -q "^method other" out &&
     grep -q "again: DRIFTLINE_TEST_METHOD=other make asan T=contract/each$" out'

for each in short long; do
    program unit/$each <<S
echo $each >>"$work/order"; [ $each = short ] || sleep .3
S
done
printf 'tests/unit/short 1 1\ntests/unit/long 2 1\n' >>build/asan/test-times
DRIFTLINE_TEST_JOBS=1 runs short long
check "the longest of the last run comes first" '[ "$(paste -sd " " order)" = "long short" ]'
check "and the times of this run take their place, beside those of others" \
    'grep -qE "^tests/unit/long [0-9.]+ [0-9.]+$" build/asan/test-times && ! grep -q "long 2 1" build/asan/test-times &&
     grep -q "^tests/contract/each:one " build/asan/test-times'

make -C "$DRIFTLINE_ROOT" -s sanitize MAKE=false >out 2>err
check "sanitize ends with the modes that failed" 'grep -qx "sanitize: FAILED: asan tsan; each lists its failures above" out'

exit $failed
