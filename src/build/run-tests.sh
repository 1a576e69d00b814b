#!/bin/bash
# run-tests.sh - runs tests, prints a line for each as it ends, and ends with the count.
#
#   run-tests.sh OUT METHOD TEST...
#
# A test that passed has one line: name, cases, seconds, and why cases were skipped. Of a test that failed the whole
# log is shown. V=1 in the environment shows the logs of all. A log with a sanitizer's report is a failure, whatever
# the cases and the exit status say: a process that the test started may have written it.
#
# OUT is the folder of the build, METHOD the methods the contract tests run for (or ""), a TEST is tests/KIND/NAME,
# which src/build/run-test.sh finds, a script tests/cli/NAME.sh or a folder tests/cli/golden/NAME. A contract test is
# one job for each of its methods, any other test is one job. A job counts as many cases as its cmocka or TAP output
# lists, else as one. It runs in the repository's root with a TMPDIR of its own, removed when it passes, and a
# DRIFTLINE_TEST_MEMORY where /dev/shm is, always removed: what a killed test leaves must not fill the memory; of a
# failed one the TMPDIR gets it.
#
# Jobs run side by side, DRIFTLINE_TEST_JOBS (three for two processors) at a time, the longest first. OUT/test-times
# keeps how long each took, and of how much of a processor, in seconds; tests/times.txt stands in where it has no
# line. A script with "# Runs alone: WHY" in its first lines runs after all others.
# Exit status: 0 all passed, 1 some failed.
set -u

out=$1 method=$2
shift 2
run_test=$(dirname "$0")/run-test.sh

DRIFTLINE_ROOT=$PWD
export DRIFTLINE_ROOT
# A test that calls make is not part of the make that runs it.
unset MAKEFLAGS MAKELEVEL MFLAGS
# odr 1: a test loads a plugin that has a variable of the program, of the same size
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1:detect_odr_violation=1}
# A process waits a second for its other threads before it ends, by default; tests of processes start hundreds.
export TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$PWD/src/build/tsan.supp:atexit_sleep_ms=50}
# One pass of each search: tests look at answers.
export DRIFTLINE_MIN_TIME=0
# OpenBLAS's threads wait asleep, not in a loop of 30 ms after each start and each product: a third of a small run.
export OPENBLAS_THREAD_TIMEOUT=${OPENBLAS_THREAD_TIMEOUT:-4}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
# The python3 itself: pyenv's is a script that starts ten others, half a second of processor each time.
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null) && [ -x "$python" ] && [ "$python" != "$(command -v python3)" ] &&
    PATH=${python%/*}:$PATH
[ -z "$method" ] || export DRIFTLINE_TEST_METHOD=$method
limit_s=${DRIFTLINE_TEST_TIMEOUT:-900}
# Some jobs wait most of their time, for a disk, a rank or a limit: one more than there are processors for each two of these.
# nproc takes OpenMP's limits for the machine's.
processors=$(env -u OMP_THREAD_LIMIT -u OMP_NUM_THREADS nproc)
jobs=${DRIFTLINE_TEST_JOBS:-$(((3 * processors + 1) / 2))}

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

log_of() { printf '%s\n' "$out/${1/:/.}.log"; }

# Runs one job; beside its log go its children's times, and as LOG.done, whole or not at all, "STATUS SECONDS
# WORK-FOLDER".
run_job() {
    local job=$1 log work memory start status command
    log=$(log_of "$job")
    work=$(mktemp -d "${TMPDIR:-/tmp}/driftline-test.XXXXXX") || exit 1
    memory=$(mktemp -d /dev/shm/driftline-test.XXXXXX 2>/dev/null) || memory=$work
    case $job in
        *.sh) command=(bash "$job") ;;
        tests/cli/golden/*) command=(bash tests/cli/golden.sh "$job") ;;
        tests/fuzz/*) command=("$run_test" "$out" "$job" "tests/fuzz/corpus/${job##*/fuzz_}") ;;
        *:*) command=(env "DRIFTLINE_TEST_METHOD=${job#*:}" "$run_test" "$out" "${job%:*}") ;;
        *) command=("$run_test" "$out" "$job") ;;
    esac
    start=$EPOCHREALTIME
    TMPDIR=$work DRIFTLINE_TEST_MEMORY=$memory timeout -k 5 "$limit_s" "${command[@]}" </dev/null >"$log" 2>&1 &
    # shellcheck disable=SC2064  # the process as it is now; timeout passes the signal on
    trap "kill $!; wait $!; [ '$memory' = '$work' ] || rm -rf '$memory'; exit" TERM
    wait $!
    status=$?
    times >"$log.times"
    if [ "$memory" != "$work" ]; then
        [ "$status" = 0 ] || cp -R "$memory" "$work/memory" 2>/dev/null
        rm -rf "$memory"
    fi
    echo "$status $(((${EPOCHREALTIME/./} - ${start/./}) / 100000)) $work" >"$log.part"
    mv "$log.part" "$log.done"
}

# Prints "JOB SECONDS PROCESSOR-SECONDS"; times(1) writes the children's in its second line, as 1m2.5s 0m1.0s.
times_of() { # JOB LOG TENTHS
    awk -v job="$1" -v tenths="$3" 'NR == 2 {
        gsub(/s/, ""); split($1, own, "m"); split($2, sys, "m")
        printf "%s %.1f %.1f\n", job, tenths / 10, 60 * (own[1] + sys[1]) + own[2] + sys[2]
    }' "$2.times"
    rm -f "$2.times"
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
report_job() {
    local job=$1 log status tenths work ok bad left why name report seconds
    log=$(log_of "$job")
    read -r status tenths work <"$log.done"
    rm "$log.done"
    times_of "$job" "$log" "$tenths" >>"$out/test-times.new"
    seconds="$((tenths / 10)).$((tenths % 10)) s"
    read -r ok bad left < <(count "$log" "$status")
    report=$(sanitizer_report "$log")
    [ -z "$report" ] || [ "$bad" != 0 ] || bad=1
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + left))
    if [ "$bad" = 0 ]; then
        printf 'ok      %-55s %4d cases %9s%s\n' "$job" $((ok + left)) "$seconds" \
            "$([ "$left" = 0 ] || printf '  %d skipped: %s' "$left" "$(skip_reasons "$log")")"
        [ "${V:-}" != 1 ] || cat "$log"
        rm -rf "$work"
        return
    fi
    why=$([ "$status" = 0 ] || printf 'exit status %d, ' "$status")
    [ "$tenths" -lt $((limit_s * 10)) ] || why="no end within $limit_s s, "
    [ -z "$report" ] || why+="$report, "
    why="$ok passed, $bad failed: ${why}log $log, files $work"
    printf 'FAILED  %-55s %4d cases %9s\n' "$job" $((ok + bad + left)) "$seconds"
    # The cases that passed only hide the others.
    grep -vE '^ok |^\[ RUN  |^\[       OK ' "$log"
    name=${job#tests/} name=${name%.sh}
    failures+=("$job: $why" "    again: $(again "$name")")
}

again() { # NAME or NAME:METHOD
    local mode=${out#build/} method=
    case $1 in *:*) method="DRIFTLINE_TEST_METHOD=${1#*:} " ;; esac
    case $mode in release) mode="test" ;; debug) mode="MODE=debug test" ;; esac
    # A plugin's method is not in the program: the test needs the plugin, and is then for that one.
    if [ -n "${DRIFTLINE_TEST_PLUGIN:-}" ]; then
        method="DRIFTLINE_TEST_PLUGIN='$DRIFTLINE_TEST_PLUGIN' "
        [ -z "${DRIFTLINE_TEST_SETTINGS:-}" ] || method+="DRIFTLINE_TEST_SETTINGS='$DRIFTLINE_TEST_SETTINGS' "
    fi
    printf '%smake %s T=%s' "$method" "$mode" "${1%:*}"
}

# Runs the jobs given, $1 at a time, and reports each when it ends.
run_all() {
    local most=$1 running=() job
    shift
    for job; do
        mkdir -p "$(dirname "$(log_of "$job")")"
        rm -f "$(log_of "$job").done"
    done
    for job; do
        while [ ${#running[@]} -ge "$most" ]; do
            wait -n
            report_ended
        done
        run_job "$job" &
        running+=("$job")
    done
    while [ ${#running[@]} -gt 0 ]; do
        wait -n
        report_ended
    done
}

report_ended() { # of the jobs in running, which keeps the others
    local still=() job
    for job in "${running[@]}"; do
        if [ -e "$(log_of "$job").done" ]; then report_job "$job"; else still+=("$job"); fi
    done
    running=(${still[@]+"${still[@]}"})
}

# Prints the jobs of the tests given: a contract test has one for each method.
jobs_of() {
    local test method methods
    for test; do
        case $test in
            tests/contract/*)
                methods=$("$run_test" "$out" "$test" --methods) || { echo "$test"; continue; }
                methods=$(sort -u <<<"$methods")
                for method in $methods; do echo "$test:$method"; done
                ;;
            *) echo "$test" ;;
        esac
    done
}

# Sorts jobs, a line each, by how long they took last; 5 s for one that is not known.
longest_first() {
    awk 'FILENAME != "-" { seconds[$1] = $2; next } { print ($1 in seconds ? seconds[$1] : 5), $1 }' \
        "${known_times[@]}" - | sort -s -k 1,1 -rn | cut -d ' ' -f 2
}

# Puts the times of this run in the place of earlier ones.
keep_times() {
    [ -e "$out/test-times.new" ] || return
    touch "$out/test-times"
    awk '{ line[$1] = $0 } END { for (job in line) print line[job] }' "$out/test-times" "$out/test-times.new" |
        sort >"$out/test-times.part" && mv "$out/test-times.part" "$out/test-times"
    rm -f "$out/test-times.new"
}

if [ $# = 0 ]; then
    echo "no test to run: T must be a part of a test's path, or a method's name" >&2
    exit 2
fi
# shellcheck disable=SC2046  # one process a word
trap 'kill $(jobs -rp) 2>/dev/null; exit 130' INT TERM
mkdir -p "$out"
rm -f "$out/test-times.new"
known_times=()
for file in tests/times.txt "$out/test-times"; do [ ! -e "$file" ] || known_times+=("$file"); done
beside=() alone=()
while read -r job; do
    if [[ $job == *.sh ]] && head -n 15 "$job" | grep -q '^# Runs alone: '; then
        alone+=("$job")
    else
        beside+=("$job")
    fi
done < <(jobs_of "$@" | longest_first)
run_all "$jobs" ${beside[@]+"${beside[@]}"}
run_all 1 ${alone[@]+"${alone[@]}"}
keep_times

if [ ${#failures[@]} -gt 0 ]; then
    echo
    echo "Failed:"
    printf '  %s\n' "${failures[@]}"
fi
echo "$passed passed, $failed failed, $skipped skipped (${out#build/})"
[ "$failed" = 0 ]
