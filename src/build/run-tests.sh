#!/bin/bash
# run-tests.sh - runs tests, prints a line for each in the order given, and ends with the count.
#
#   run-tests.sh OUT METHOD TEST...
#
# A test that passed has one line: name, cases, seconds, and why cases were skipped. Of a test that failed the whole
# log is shown. V=1 in the environment shows the logs of all. A log with a sanitizer's report is a failure, whatever
# the cases and the exit status say: a process that the test started may have written it.
#
# OUT is the folder of the build, METHOD the one method the contract suite runs (or ""), a TEST is
# tests/KIND/NAME, built to OUT/tests/KIND/NAME, a script tests/cli/NAME.sh or a folder tests/cli/golden/NAME. A test counts as many
# cases as its cmocka or TAP output lists, else as one. It runs in the repository's root with a
# TMPDIR of its own, removed when it passes, and a DRIFTLINE_TEST_MEMORY where /dev/shm is, always removed:
# what a killed test leaves must not fill the memory; of a failed one the TMPDIR gets it. Programs run side by side, DRIFTLINE_TEST_JOBS (the number of
# processors) at a time, and with them the scripts that have the line "# Runs beside other tests."; the other scripts, which
# measure time, look at processes, or run make, after them and alone.
# Exit status: 0 all passed, 1 some failed.
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
limit_s=${DRIFTLINE_TEST_TIMEOUT:-900}
# nproc takes OpenMP's limits for the machine's.
jobs=${DRIFTLINE_TEST_JOBS:-$(env -u OMP_THREAD_LIMIT -u OMP_NUM_THREADS nproc)}

# Prints "PASSED FAILED SKIPPED" from the log of a test that ended with the given status.
count() {
    awk -v status="$2" '
        /^\[  PASSED  \] [0-9]+ test/ { passed += $4; next }
        /^\[  SKIPPED \] [0-9]+ test/ { skipped += $4; next }
        /^ok .*# [Ss][Kk][Ii][Pp]/ { skipped++; next }
        /^skipped: / { whole = 1; next }
        /^\[  FAILED  \] .*[0-9]+ test\(s\), listed below/ {
            for (i = 4; i <= NF; i++) if ($i ~ /^[0-9]+$/) failed += $i
            next
        }
        /^ok( |$)/ { passed++ }
        /^not ok( |$)/ { failed++ }
        END {
            if (status != 0 && !failed) failed = 1
            if (status == 0 && !passed && !failed && !skipped) if (whole) skipped = 1; else passed = 1
            print passed + 0, failed + 0, skipped + 0
        }' "$1"
}

log_of() { printf '%s\n' "$out/$1.log"; }

# Runs one test; beside its log go "STATUS SECONDS WORK-FOLDER" as LOG.done, whole or not at all.
run_test() {
    local test=$1 log work memory start status command
    log=$(log_of "$test")
    work=$(mktemp -d "${TMPDIR:-/tmp}/driftline-test.XXXXXX") || exit 1
    memory=$(mktemp -d /dev/shm/driftline-test.XXXXXX 2>/dev/null) || memory=$work
    case $test in
        *.sh) command=(bash "$test") ;;
        tests/cli/golden/*) command=(bash tests/cli/golden.sh "$test") ;;
        tests/fuzz/*) command=("$out/$test" "tests/fuzz/corpus/${test##*/fuzz_}") ;;
        *) command=("$out/$test") ;;
    esac
    start=$(date +%s%N)
    TMPDIR=$work DRIFTLINE_TEST_MEMORY=$memory timeout -k 5 "$limit_s" "${command[@]}" </dev/null >"$log" 2>&1 &
    # shellcheck disable=SC2064  # the process as it is now; timeout passes the signal on
    trap "kill $!; wait $!; [ '$memory' = '$work' ] || rm -rf '$memory'; exit" TERM
    wait $!
    status=$?
    if [ "$memory" != "$work" ]; then
        [ "$status" = 0 ] || cp -R "$memory" "$work/memory" 2>/dev/null
        rm -rf "$memory"
    fi
    echo "$status $((($(date +%s%N) - start) / 100000000)) $work" >"$log.part"
    mv "$log.part" "$log.done"
}

# The first line of a sanitizer's report in a log, or nothing.
sanitizer_report() {
    grep -aoE -m 1 '(ERROR: (Address|Leak)Sanitizer: .*|WARNING: ThreadSanitizer: .*|runtime error: .*)' "$1" | cut -c1-120
}

# Why cases of a log were skipped, in one line.
skip_reasons() {
    local reasons
    reasons=$(sed -nE 's/^ok .*# *[Ss][Kk][Ii][Pp] *//p; s/^skipped[:,] *//p' "$1" | sort -u)
    [ -n "$reasons" ] || reasons=$(sed -nE 's/^\[  SKIPPED \] ([a-z].*)/\1/p' "$1" | sort -u)
    paste -sd ';' <<<"$reasons" | sed 's/;/; /g'
}

passed=0 failed=0 skipped=0
failures=()
report_test() {
    local test=$1 log status tenths work ok bad left why name report seconds
    log=$(log_of "$test")
    read -r status tenths work <"$log.done"
    rm "$log.done"
    seconds="$((tenths / 10)).$((tenths % 10)) s"
    read -r ok bad left < <(count "$log" "$status")
    report=$(sanitizer_report "$log")
    [ -z "$report" ] || [ "$bad" != 0 ] || bad=1
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + left))
    if [ "$bad" = 0 ]; then
        printf 'ok      %-55s %4d cases %9s%s\n' "$test" $((ok + left)) "$seconds" \
            "$([ "$left" = 0 ] || printf '  %d skipped: %s' "$left" "$(skip_reasons "$log")")"
        [ "${V:-}" != 1 ] || cat "$log"
        rm -rf "$work"
        return
    fi
    why=$([ "$status" = 0 ] || printf 'exit status %d, ' "$status")
    [ "$tenths" -lt $((limit_s * 10)) ] || why="no end within $limit_s s, "
    [ -z "$report" ] || why+="$report, "
    why="$ok passed, $bad failed: ${why}log $log, files $work"
    printf 'FAILED  %-55s %4d cases %9s\n' "$test" $((ok + bad + left)) "$seconds"
    # The cases that passed only hide the others.
    grep -vE '^ok |^\[ RUN  |^\[       OK ' "$log"
    name=${test#tests/}
    name=${name%.sh}
    # A fault in the contract of one method is searched for again in that one only.
    case $name in contract/*) name=${method:-$name} ;; esac
    failures+=("$test: $why" "    again: make ${out#build/} T=$name")
}

# Runs the tests given, $1 at a time, and reports each as soon as those before it are reported.
run_all() {
    local jobs=$1 next=0 test
    shift
    local tests=("$@")
    for test; do
        mkdir -p "$(dirname "$(log_of "$test")")"
        rm -f "$(log_of "$test").done"
    done
    for test; do
        while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
        while [ -e "$(log_of "${tests[next]}").done" ]; do report_test "${tests[next]}"; next=$((next + 1)); done
        run_test "$test" &
    done
    wait
    for test in "${tests[@]:next}"; do report_test "$test"; done
}

if [ $# = 0 ]; then
    echo "no test to run: T must be a part of a test's path, or a method's name" >&2
    exit 2
fi
# shellcheck disable=SC2046  # one process a word
trap 'kill $(jobs -rp) 2>/dev/null; exit 130' INT TERM
beside=() alone=()
for test; do
    if [[ $test != *.sh ]] || grep -qx '# Runs beside other tests.' "$test"; then
        beside+=("$test")
    else
        alone+=("$test")
    fi
done
run_all "$jobs" "${beside[@]}"
run_all 1 "${alone[@]}"

if [ ${#failures[@]} -gt 0 ]; then
    echo
    echo "Failed:"
    printf '  %s\n' "${failures[@]}" | sed 's/make release /make test /; s/make debug /make MODE=debug test /'
fi
echo "$passed passed, $failed failed, $skipped skipped (${out#build/})"
[ "$failed" = 0 ]
