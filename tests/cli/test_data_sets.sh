#!/bin/bash
# test_data_sets.sh - every config is checked, and every command that names a data set runs, on a machine without data:
# the cache is empty and DRIFTLINE_DATA is not set. What recipes make in minutes is replaced by random rows of the same
# shape, but with TIER=long. No estimate is made from the results of this machine, which may be hundreds of megabytes.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
# The configs that need the internet.
internet="asteria/static_clip"

run list methods
if [ "$(grep -cE "^(hnswlib|faiss-factory|usearch) " out)" != 3 ]; then
    echo "skipped: built without baselines"
    exit 0
fi
if [ "${DRIFTLINE_TEST_TIER:-short}" != long ]; then
    python3 "$root/tests/cli/stand_ins.py" "$program" "$work/data" || exit 1
    export DRIFTLINE_DATA=$work/data
fi

"$program" list datasets | awk 'NR > 1 { print $1 }' | sort >known
listed() { # the data sets of a config, by its table in the documents
    grep -F "](../configs/$1.lua) |" "$root/docs/experiments.md" | awk -F ' [|] ' '{ print $3 }' | tr ';' '\n' | tr -d ' ' | sort
}
opened() { # those that it opened, by what `check` printed
    sed -n 's/^ \{11\}\([^ ]*\).* ([0-9]* rows)$/\1/p' out | sort -u | comm -12 - known
}

for config in "$root"/configs/*.lua "$root"/configs/*/*.lua; do
    [[ $config = */lib/* ]] && continue
    name=${config#"$root/configs/"} name=${name%.lua}
    if [[ " $internet " = *" $name "* ]]; then
        DRIFTLINE_OFFLINE=1 run check --out measured "$config"
        check "$name needs the internet and says so in its first line" \
            '[ $status = 2 ] && grep -q offline err && head -n 1 "$config" | grep -q "Needs the internet"'
        continue
    fi
    run check --quick --allow-programs --out measured "$config"
    check "$name in its quick form" '[ $status = 0 ]'
    run check --allow-programs --out measured "$config"
    check "$name" '[ $status = 0 ] && ! head -n 1 "$config" | grep -q "Needs the internet"'
    check "$name: what it opens is in the table of experiments.md" '[ -z "$(comm -13 <(listed "$name") <(opened))" ]'
done

# The configs of papers with their settings, and the commands of documents and configs.
while read -r paper config settings; do
    sets=()
    for setting in $settings; do sets+=(--set "$setting"); done
    run check "${sets[@]}" --out measured "$root/$config"
    check "reproduce $paper: $config $settings" '[ $status = 0 ]'
done < <(grep '=' "$root/configs/papers.txt" | grep -v '^#')
python3 "$root/tests/cli/data_commands.py" "$program" "$root" || failed=1
exit $failed
