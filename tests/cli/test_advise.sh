#!/bin/bash
# test_advise.sh - advise: rounds on ever more rows, the table, the config that repeats it, and what it refuses.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
python3 - <<'PY'
import random, struct
random.seed(3)
with open("mine.fvecs", "wb") as out:
    for i in range(3000):
        centre = random.randrange(20)
        row = [centre % 5 + random.gauss(0, .3) if c < 4 else random.gauss(centre, .5) for c in range(16)]
        out.write(struct.pack("<i16f", 16, *row))
with open("codes.npy", "wb") as out:
    head = b"{'descr': '<u8', 'fortran_order': False, 'shape': (1200, 1), }".ljust(117) + b"\n"
    out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
    out.write(struct.pack("<1200Q", *(random.getrandbits(64) for i in range(1200))))
PY
some=(--only flat --only 'hnsw 1' --only 'hnsw 3' --only 'divf 2' --only 'FAISS fast scan 1')
run advise mine.fvecs "${some[@]}" --time 60 --rows 2500 --out results
check "advise goes through rounds" \
    '[ $status = 0 ] && grep -q "^round 1: every build on at most 1000 rows" out && grep -q "^round 2: . builds on 2500 of 2500 rows" out'
check "it says what to use, how sure that is, and what it compared" \
    'grep -q "^    method { \"" out && grep -q "^Measured alternately, " out && grep -q "^Compared with: . builds on 1000 rows, . builds on 2500 rows" out'
check "the table has ranks" 'grep -q "^| 1 | [a-z]" out && grep -q "^| 2 | [a-z]" out'
check "the advice is kept" 'grep -q "^| 1 |" results/advise-mine/advice.md && [ -s results/advise-mine/round-2/report.html ]'
check "queries were held out" \
    'python3 -c "import json; r = json.load(open(\"results/advise-mine/round-2/result.json\")); s = r[\"cells\"][0][\"steps\"]; assert s[0][\"count\"] == 1250 and s[-1][\"live\"] == 1250"'
check "it recommends what the table has, with the recall that was asked for" \
    'name=$(sed -n "s/^\*\*\([^*]*\)\*\*: .*/\1/p" out) && grep -q "^| [12] | ${name%% (*} |" out && python3 -c "import re; s = open(\"out\").read(); assert float(re.search(r\"recall (\\d.\\d+)\", s[s.index(\"**\"):]).group(1)) >= .95"'
check "the best and its rival were measured once more" \
    'grep -q "^once more" out && ! grep -q "in the run that chose it" out && [ -s results/advise-mine/again/result.json ]'
cp out first
run run results/advise-mine/advice.lua --no-plots --out again
check "the config repeats it" '[ $status = 0 ] && grep -q "measured alternately" out && [ -s again/advice/result.json ]'
run advise mine.fvecs "${some[@]}" --time 60 --rows 2500 --out results --resume
check "a study goes on from its finished cells" '[ $status = 0 ] && [ "$(grep -c ": kept" err)" -ge 6 ]'
run advise mine.fvecs --only 'hnsw 1' --only 'divf 2' --rows 1000 --time 30 --daily 0.1 --days 12 --out results
check "--daily says what the days do to the two" \
    '[ $status = 0 ] && grep -q "^## 12 days, of which each replaces 10 %" out && [ "$(grep -c "^After 12 days it finds " out)" = 2 ] && [ "$(grep -c "^| 9 | 0*[01]\.[0-9]* | [01]\.[0-9]* | [0-9]" out)" = 2 ]'
run run results/advise-mine/days.lua --out again
check "and its config repeats them" '[ $status = 0 ] && [ -s again/long_life_days/result.json ]'
run advise mine.fvecs --only flat --rows 1000 --time 30 --daily 1 --days 100 --out results
check "days that the rows do not suffice for are refused, and the advice is given" \
    '[ $status != 0 ] && grep -q "9 rows can be held for 100 days of 100 %; expected 300 or more" err && grep -q "^| 1 | flat" out && ! grep -q "^## " out'
for workload in static growth drift window; do
    run advise mine.fvecs --only flat --only 'divf 2' --workload $workload --rows 1000 --recall .9 --distance cosine --time 30 --out results
    check "$workload" '[ $status = 0 ] && grep -q "^| 1 | " out'
done
run advise codes.npy --only 'hftrie multi' --only 'mih 1' --only 'FAISS IVF 1' --workload churn --time 30 --out results
check "codes are searched by the methods that take them" \
    '[ $status = 0 ] && grep -q "^| . | hftrie multi | " out && grep -q "^| . | mih | " out && grep -q "^Compared with: 3 builds on 1000 rows" out'
run advise mine.fvecs --only flat --rows 999
check "too few rows are refused" '[ $status = 2 ] && grep -q -- "--rows 999: expected 1000 or more" err && ! grep -q "^round" out'
run advise mine.fvecs --only flat --only 'hnsw 1' --rows 1000 --memory 1K --out results
check "a wish that nothing meets is said" '[ $status = 1 ] && grep -q "no build met the wish" err && grep -q "too much memory" err out'
run advise mine.fvecs --only 'hnsw 1' --only 'hnswlib 6' --time 1 --out results
check "what the time does not suffice for is said, and the advice is of fewer rows" \
    '[ $status = 0 ] && grep -q "cannot be judged in 1 s" err && grep -q -- "--time " err && grep -q "1000 of 3000 rows" out'
head -c $((900 * 68)) mine.fvecs >few.fvecs # rows of 68 bytes
run advise few.fvecs --only 'hnsw 1' --only 'divf 2' --time 4.9 --out results
check "rows are counted where a file has fewer than the first round takes" \
    '[ $status = 0 ] && grep -q ", 900 of 900 rows" out && grep -q "2 builds on 900 rows" out'
check "the report that the advice names is there, though the first round was the last" \
    '[ -s "$(sed -n "s/.*Figures and all numbers: \(.*\)\.$/\1/p" out)" ]'
run run results/advise-few/advice.lua --no-plots --out again
check "a short study's config repeats it, with the builds of --only" \
    '[ $status = 0 ] && grep -q "^advice: .* 2 cells" err && [ -s again/advice/result.json ]'
head -c $((20 * 68)) mine.fvecs >tiny.fvecs
run advise tiny.fvecs --out results
check "a file with fewer rows than a workload needs is refused" '[ $status = 2 ] && grep -q "20 rows are too few: at least 22 are needed" err'
run check "$root/configs/leaderboard.lua" --set "data=$PWD/few.fvecs" --set rows=10
check "and so are fewer rows of a file" '[ $status = 2 ] && grep -q "10 rows are too few: at least 22 are needed" err'
run advise no-such-set
check "a data set that is not there is an error" '[ $status = 2 ] && grep -q "no-such-set" err && ! grep -q "^round" out'
run advise no-such.fvecs
check "so is a file that is not there" '[ $status = 2 ] && grep -q "no-such.fvecs: No such file" err'
run advise mine.fvecs --workload sideways --out results
check "an unknown workload is an error that lists them" '[ $status = 2 ] && grep -q "expected static, growth, churn" err'
run advise mine.fvecs --days 3
check "days without a share of a day are refused" '[ $status = 2 ] && grep -q -- "--days 3: expected --daily" err'
cat >book.yaml <<'YAML'
mine:
  max_pts: 1000
  1: { operation: insert, start: 0, end: 1000 }
  2: { operation: delete, start: 0, end: 100 }
  3: { operation: search }
YAML
run advise mine.fvecs --only flat --workload book.yaml --rows 1000 --time 10 --out results
check "a runbook beside the caller, for a file that has no queries" '[ $status = 0 ] && grep -q "^| 1 | flat" out'
run advise mine.fvecs --workload no-such.yaml
check "a runbook that is not there is an error" '[ $status = 2 ] && grep -q -- "--workload no-such.yaml: No such file" err && ! grep -q "^round" out'
cat >also.lua <<'LUA'
require("ranking").experiment { name = "also", title = "One more", data = "mine.fvecs", workload = "static", recall = .9, rows = 1000,
                                asked = 100, also = { option("text", "no") == "yes" and "hnsw" or { "hnsw", label = option("label", "mine"), sweep = { ef_search = { 10, 40 } } } } }
LUA
run run --quick also.lua --only flat --only mine --out results
check "an entry of the config is tuned beside the others" '[ $status = 0 ] && grep -q "^mine\[ef_search=" out && grep -q "^flat " out'
run run --quick also.lua --set text=yes --out results
check "an entry that is not a table is refused" '[ $status != 0 ] && grep -q "also: expected tables such as" err'
run run --quick also.lua --set label=hnsw --out results
check "a label that is taken is refused" '[ $status != 0 ] && grep -q "also: there is an entry \"hnsw\" already" err'
exit $failed
