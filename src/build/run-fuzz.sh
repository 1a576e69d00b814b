#!/bin/bash
# run-fuzz.sh - runs libFuzzer targets for a while each, starting from their corpora in tests/fuzz/corpus/.
#
#   run-fuzz.sh OUT SECONDS TARGET...      TARGET: tests/fuzz/fuzz_NAME, built to OUT/TARGET
#
# New inputs stay in OUT/corpus/NAME. A crash's input is to be added to the tracked corpus with its fix.
set -u

out=$1 seconds=$2
shift 2
status=0
for target; do
    name=${target##*/fuzz_}
    found=$out/corpus/$name
    mkdir -p "$found" "$out/crashes"
    corpora=("$found")
    [ ! -d "tests/fuzz/corpus/$name" ] || corpora+=("tests/fuzz/corpus/$name")
    echo "== $target, $seconds s"
    # What the readers allocate is bounded by their input, so a huge allocation is a finding.
    if ! "$out/$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 \
        -artifact_prefix="$out/crashes/$name-" "${corpora[@]}" >"$out/$name.log" 2>&1; then
        grep -E -m 5 'ERROR|SUMMARY|runtime error|Test unit written' "$out/$name.log"
        echo "   failed; the whole story is in $out/$name.log"
        status=1
        continue
    fi
    grep -E 'number_of_executed_units|new_units_added' "$out/$name.log"
done
exit "$status"
