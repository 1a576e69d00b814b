#!/bin/bash
# aa-study.sh - how often `compare` claims a difference where there is none, and how often it sees one of 10 %, by metric.
#
#   aa-study.sh [PAIRS]      20 pairs by default, half a minute each
#
# Each pair is three runs of configs/targets/aa_study.lua, one after another: A, A again, and one whose graph searches take 10 % longer. Set
# AA_REPEATS for other than the config's 5 repeats. What is counted are rows of `compare A A-again` with a verdict (false), and
# those of `compare A more` with the right one (seen), of the labels whose work differs. Results stay in results/aa_study-*.
# Exit status: 0, or 1 where a metric has more than 5 % false rows, 2 where something does not run.
set -u

cd "$(dirname "$0")/../.." || exit 2
pairs=${1:-20}
repeats=${AA_REPEATS:-5}
out=results/aa_study-$(date +%Y%m%d-%H%M%S)
mkdir -p "$out" || exit 2

one() { # FOLDER EXTRA
    ./harness run --quiet --no-plots --repeats "$repeats" --set extra="$2" --out "$out/$1" configs/targets/aa_study.lua \
        >"$out/run.log" 2>&1 || { cat "$out/run.log" >&2; exit 2; }
}

rows() { # KIND A B: "KIND METRIC LABEL COULD-SEE VERDICT" of each row, by compare's columns
    ./harness compare --all "$out/$2/aa_study" "$out/$3/aa_study" 2>>"$out/compare.log" |
        awk -F '  +' -v kind="$1" 'NR > 1 && NF == 8 { split($2, m, "/"); see = $7; sub(/ %/, "", see); sub(/> /, "", see)
            printf "%s\t%s\t%s\t%s\t%s\n", kind, m[1], $1, see, $8 }' >>"$out/rows.tsv"
}

load() { cut -d ' ' -f 1-3 /proc/loadavg; }

echo "load average before: $(load)"
for i in $(seq "$pairs"); do
    one "a$i" 0
    one "b$i" 0
    one "s$i" 10
    rows aa "a$i" "b$i"
    rows more "a$i" "s$i"
done
echo "load average after: $(load); $pairs pairs, $repeats repeats, $(nproc) processors"
awk -F '\t' '
    $1 == "aa" && $4 != "-" { n[$2]++; false[$2] += $5 ~ /^(better|worse)$/; see[$2, n[$2]] = $4 + 0 }
    $1 == "more" && $4 != "-" && $3 ~ /^graph/ { m[$2]++; seen[$2] += $5 == "worse" }
    function median(metric, count,    i, j, t, v) {
        for (i = 1; i <= count; i++) v[i] = see[metric, i]
        for (i = 2; i <= count; i++) for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        return v[int((count + 1) / 2)]
    }
    END {
        printf "%-12s %6s %8s %8s %18s\n", "metric", "rows", "false", "seen", "could see, median"
        for (metric in n) {
            bad += false[metric] > 0.05 * n[metric]
            printf "%-12s %6d %6.1f %% %6.1f %% %16.3g %%\n", metric, n[metric], 100 * false[metric] / n[metric],
                m[metric] ? 100 * seen[metric] / m[metric] : 0, median(metric, n[metric]) | "sort"
        }
        close("sort")
        exit bad > 0
    }' "$out/rows.tsv" | { read -r header; echo "$header"; cat; }
exit "${PIPESTATUS[0]}"
