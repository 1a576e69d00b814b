#!/bin/bash
# run-tests.sh - runs tests one after the other, shows what they print, and ends with the count.
#
#   run-tests.sh OUT METHOD TEST...
#
# OUT is the folder of the build, METHOD the one method the contract suite is to look at (or ""), a TEST is
# tests/KIND/NAME, built to OUT/tests/KIND/NAME, or a script tests/cli/NAME.sh. A test counts as many
# cases as its cmocka or TAP output tells of, else as one. It runs in the repository's root with a
# TMPDIR of its own, removed when it passes. Exit status: 0 all passed, 1 some failed.
set -u

out=$1 method=$2
shift 2

DRIFTLINE_ROOT=$PWD
export DRIFTLINE_ROOT
# A test that calls make is not part of the make that runs it.
unset MAKEFLAGS MAKELEVEL MFLAGS
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$PWD/src/build/tsan.supp}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
[ -z "$method" ] || export DRIFTLINE_TEST_METHOD=$method
limit_s=${DRIFTLINE_TEST_TIMEOUT:-300}

passed=0 failed=0
failures=()

# Prints "PASSED FAILED" from the log of a test that ended with the given status.
count() {
    awk -v status="$2" '
        /^\[  PASSED  \] [0-9]+ test/ { passed += $4; next }
        /^\[  FAILED  \] .*[0-9]+ test\(s\), listed below/ {
            for (i = 4; i <= NF; i++) if ($i ~ /^[0-9]+$/) failed += $i
            next
        }
        /^ok( |$)/ { passed++ }
        /^not ok( |$)/ { failed++ }
        END {
            if (status != 0 && !failed) failed = 1
            if (status == 0 && !passed && !failed) passed = 1
            print passed + 0, failed + 0
        }' "$1"
}

for test; do
    case $test in
        *.sh) command=(bash "$test") ;;
        tests/fuzz/*) command=("$out/$test" "tests/fuzz/corpus/${test##*/fuzz_}") ;;
        *) command=("$out/$test") ;;
    esac
    work=$(mktemp -d "${TMPDIR:-/tmp}/driftline-test.XXXXXX") || exit 1
    log=$out/$test.log
    mkdir -p "${log%/*}"
    echo "== $test"
    start=$(date +%s.%N)
    TMPDIR=$work timeout -k 5 "$limit_s" "${command[@]}" </dev/null 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    seconds=$(echo "$(date +%s.%N) $start" | awk '{ printf "%.1f", $1 - $2 }')

    read -r ok bad < <(count "$log" "$status")
    passed=$((passed + ok)) failed=$((failed + bad))
    if [ "$status" = 0 ] && [ "$bad" = 0 ]; then
        rm -rf "$work"
        continue
    fi
    case $status in
        124 | 137) why="no end within $limit_s s" ;;
        *) why="exit status $status" ;;
    esac
    name=${test#tests/}
    name=${name%.sh}
    failures+=("$test: $bad failed ($why, $seconds s; log $log, files $work)"
        "    again: make ${out#build/} T=${method:-$name}")
done

if [ ${#failures[@]} -gt 0 ]; then
    echo
    echo "Failed:"
    printf '  %s\n' "${failures[@]}" | sed 's/make release /make test /'
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
