#!/bin/bash
# test_runner.sh - src/build/run-tests.sh: one line per passed test, the log of a failed one; a
# sanitizer's report is a failure.
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
DRIFTLINE_ROOT=$PWD
runner=$PWD/src/build/run-tests.sh
unset V
mkdir -p "$work/build/asan/tests/unit" "$work/src/build"
cd "$work" || exit 1

program() { # NAME: a test whose script is the input
    { echo '#!/bin/sh'; cat; } >"build/asan/tests/unit/$1"
    chmod +x "build/asan/tests/unit/$1"
}
runs() { # TEST...
    "$runner" build/asan "" "${@/#/tests/unit/}" >out 2>err
    status=$?
}
program fine <<'S'
echo "a long log"; echo "[  PASSED  ] 3 test(s)."
S
program partly <<'S'
echo "skipped: no device"; echo "[  PASSED  ] 2 test(s)."; echo "[  SKIPPED ] 1 test(s), listed below:"
S
program none <<'S'
echo "skipped: built without FAISS"
S
program wrong <<'S'
echo "why it failed"; echo "[  PASSED  ] 1 test(s)."; echo "[  FAILED  ] 2 test(s), listed below:"; exit 2
S
program leaks <<'S'
echo "[  PASSED  ] 3 test(s)."; echo "==7==ERROR: LeakSanitizer: detected memory leaks"; exit 23
S
program child <<'S'
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

make -C "$DRIFTLINE_ROOT" -s sanitize MAKE=false >out 2>err
check "sanitize ends with the modes that failed" 'grep -qx "sanitize: FAILED: asan tsan; each lists its failures above" out'

exit $failed
