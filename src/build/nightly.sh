#!/bin/bash
# nightly.sh - the long tier: every test under each sanitizer without sampling, ten thousand seeds of crashes, and an hour
# of fuzzing for each kind of input.
#
#   nightly.sh [PART...]      PART: asan tsan crash fuzz (all of them)
#
# DRIFTLINE_FUZZ_HOUR: seconds of fuzzing for a kind (3600). DRIFTLINE_CRASH_SEEDS: 10000. What the fuzzers find lies in
# build/fuzz/crashes and is to be added to tests/fuzz/corpus with its fix.
# Exit status: 0 all passed, 1 some failed.
# shellcheck disable=SC2317  # step calls the functions
set -u

cd "$(dirname "$0")/../.." || exit 2
hour_s=${DRIFTLINE_FUZZ_HOUR:-3600}
jobs=$(nproc)
status=0
summary=()

step() {
    local start=$SECONDS verdict=ok
    echo "== $*"
    "$@" || { verdict=FAILED; status=1; }
    summary+=("$(printf '%-6s %5d s  %s' "$verdict" $((SECONDS - start)) "$*")")
}

# Kinds of input, each a list of fuzz targets that share its hour.
fuzz_kinds() {
    local readers=() others=() target name
    for target in tests/fuzz/fuzz_*.c; do
        name=${target##*/fuzz_} name=${name%.c}
        case $name in
            reader_* | runbook_reader) readers+=("$name") ;;
            index_ops | code_ops) ;;
            *) others+=("$name") ;;
        esac
    done
    echo "${readers[@]}"
    echo "index_ops code_ops"
    printf '%s\n' "${others[@]}"
}

fuzz_kind() {
    local each=$((hour_s / $#))
    src/build/run-fuzz.sh build/fuzz "$each" "${@/#/tests/fuzz/fuzz_}"
}

# As many kinds at a time as there are processors; they are built before, for make is not to run twice in one folder.
fuzz_all() {
    local kinds kind failed=0
    mapfile -t kinds < <(fuzz_kinds)
    make --no-print-directory fuzz FUZZ_SECONDS=1 || return 1
    for kind in "${kinds[@]}"; do
        while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || failed=1; done
        # shellcheck disable=SC2086  # a list of names
        fuzz_kind $kind &
    done
    for _ in "${kinds[@]}"; do wait -n || { [ $? = 127 ] || failed=1; }; done
    return "$failed"
}

crash_all() {
    DRIFTLINE_CRASH_SEEDS=${DRIFTLINE_CRASH_SEEDS:-10000} DRIFTLINE_TEST_TIMEOUT=36000 make --no-print-directory test \
        T=test_crash
}

for part in "${@:-asan tsan crash fuzz}"; do
    # shellcheck disable=SC2086  # the default is a list
    for each in $part; do
        case $each in
            asan | tsan) step make --no-print-directory "$each" TIER=long ;;
            crash) step crash_all ;;
            fuzz) step fuzz_all ;;
            *)
                echo "nightly.sh: no part \"$each\"; there are asan tsan crash fuzz" >&2
                exit 2
                ;;
        esac
    done
done

printf '%s\n' "${summary[@]}"
exit "$status"
