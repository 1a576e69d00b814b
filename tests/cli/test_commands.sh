#!/bin/bash
# test_commands.sh - the command line: its output, its refusals, its exit status.
# Needs: schema
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
config() { # NAME <LUA
    cat >"$1.lua"
}

# ---- what there is, where it depends on the machine; the rest is in golden/
run list configs
check "list configs" '[ $status = 0 ] && grep -q "^configs/drift_mnist_fashion.lua  *Train on MNIST" out'
run list kernels
check "list kernels" '[ $status = 0 ] && grep -q "^scalar" out && grep -q chosen out'
run describe divf
check "describe a method prints its rows" '[ $status = 0 ] && grep -q soft_k out && grep -q nprobe out'
run version
version=$(sed -n 's/^VERSION := //p' "$DRIFTLINE_ROOT/Makefile")
check "version" '[ $status = 0 ] && [ "$(sed 1q out)" = "Driftline $version" ] && grep -q "^commit .*, method ABI [0-9]*$" out && grep -q "^kernels " out'
check "the change log begins with this version" '[ "$(sed -n "s/^## \[\([0-9.]*\)\].*/\1/p" "$DRIFTLINE_ROOT/CHANGELOG.md" | sed 1q)" = "$version" ]'
check "libraries to compare with are baselines" '! grep -q "^peer" out && [ "$(grep -c "^baseline ." out)" = "$("$program" list methods | grep -oE "^(faiss|hnswlib|usearch)" | sort -u | wc -l)" ]'

# Each command with each option: refused, naming the command, unless the command's help lists it. Of those that it must refuse
# every fifth is tried, beginning elsewhere for the next command, so that each option is refused by several.
commands=$("$program" help | sed -n 's/^  .\/harness \([a-z]*\) .*/\1/p')
options=$(for command in $commands; do "$program" help "$command"; done | sed -n 's/^  --\([a-z-]*\).*/\1/p' | sort -u)
wrong='' turn=0
for command in $commands; do
    of_command=$("$program" help "$command" | sed -n 's/^  --\([a-z-]*\).*/\1/p')
    turn=$((turn + 1)) tried=0
    for option in $options; do
        tried=$((tried + 1))
        [ $(((tried + turn) % 5)) = 0 ] || grep -qx -- "$option" <<<"$of_command" || continue
        case $option in
            part) value="=1/2" ;; set | knob) value='=a=1' ;; header) value='=yes' ;; distance) value='=l2' ;; style) value='=paper' ;; memory-limit) value='=1M' ;;
            quick | in-process | mpi | resume | force | no-plots | quiet | different | fail-on-regression | json | csv | markdown | all | allow-programs) value= ;;
            *) value='=1' ;;
        esac
        # The argument is nothing that a command finds, so that those that take the option stop there.
        "$program" "$command" "--$option$value" No-Such/1 No-Such/2 >out 2>err
        [ $? = 2 ] || wrong="$wrong $command--$option"
        grep -q -- "--$option is not an option of $command, but of:" err
        refused=$?
        grep -qx -- "$option" <<<"$of_command"
        [ $((refused + $?)) = 1 ] || wrong="$wrong $command--$option"
    done
done
check "each command takes the options of its help and refuses all others" '[ -n "$options" ] && [ -z "$wrong" ]'

# ---- a small experiment from start to end
config small <<'LUA'
-- A small thing, & what it <shows>.
local s = synthetic { kind = "mixture", rows = 3000, dim = 16 }
experiment {
  name = "small", k = 5, repeats = 2, publication = "A & B <2025>",
  workload = function(w)
    w:train { s:rows(1, 1000) }
    w:insert { s:rows(1, 2000), tag = "load" }
    w:delete { s:rows(1, 500), tag = "leave" }
    w:search { s:queries(50), tag = "q" }
  end,
  methods = {
    method { "flat", label = "exact" },
    method { "divf", label = "ivf", params = { clusters = 16 }, sweep = { nprobe = { 1, 16 } } },
  },
  claims = {
    { "all lists are exact", function(r) return r("ivf[nprobe=16]", "recall@5/q") == 1 end },
    { "one list is exact", function(r) return r("ivf[nprobe=1]", "recall@5/q") == 1 end },
    { "(ours) lists were made", function(r) return r("ivf[nprobe=1]", "stats.n_clusters/load") == 16 end },
    { "(ours) nothing was measured for it", function(r) return r("ivf[nprobe=1]", "recall@5/load") == 1 end },
  },
  paper = { exact = { ["recall@5/q"] = 1 } },
}
LUA
run --out results small.lua
check "each cell has a line at its start and its end" '[ "$(grep -cE "^[1-4]/4  (exact|ivf), repeat [12] begins$" err)" = 4 ] && [ "$(grep -cE "^[1-4]/4  (exact|ivf), repeat [12]: ok  .[0-9.]+ s" err)" = 4 ] && [ "$(grep -c "^4/4 .*left" err)" = 0 ]'
check "a config runs" '[ $status = 0 ] && [ -s results/small/result.json ] && [ -s results/small/report.html ]'
check "the exhaustive setting is exact" 'grep -q "^reproduced *all lists are exact" out'
check "a claim that does not hold is said so" 'grep -q "^not reproduced *one list is exact" out'
check "with the numbers it asked for, by label" 'grep -A1 "one list is exact" out | grep -q "^  *ivf\[nprobe=1\]: recall@5/q = 0\.[0-9]*$"'
check "statistics of a method are metrics" 'grep -A1 "^holds .*lists were made" out | grep -q "stats.n_clusters/load = 16$"'
check "a claim without its result says why" 'grep -A2 "^not measured .*nothing was measured" out | grep -q "no such result"'
check "figures in three forms with their points" \
    'for e in svg png pdf csv gp; do ls results/small/*recall*.$e >/dev/null || exit 1; done'
check "the points of a sweep are distinct" 'grep -q "^VARIANT.[0-9]*. = 1" results/small/*ccdf*.gp'
check "the report needs no network" '! grep -qE "(src|href)=.http" results/small/report.html'
check "nothing is left in the scratch folder" '[ ! -e results/small/scratch ]'
keeps_to_schema results/small
cat >environment.py <<'PY'
import json, sys
environment = json.load(open("r/small/result.json"))["environment"]
print(*environment["variables_removed"], sep="\n"), print(*environment["warnings"], sep="\n")
sys.exit(environment["variables_set"] != sys.argv[1:])
PY
for name in $(compgen -e); do
    case $name in OPENBLAS_* | OMP_* | GOTO_* | MKL_* | KMP_* | GOMP_* | BLIS_* | *MALLOC_* | LD_*) unset "$name" ;; esac
done
DRIFTLINE_NEUTRALISED=$'OMP_NUM_THREADS=1\nOPENBLAS_CORETYPE=Haswell\n' run --no-plots --out r --only exact small.lua
check "what the launcher took out of the environment is named once" \
    '[ "$(grep -c "^not handed on, as it would change libraries: OMP_NUM_THREADS OPENBLAS_CORETYPE (DRIFTLINE_KEEP_ENV=1 keeps it)$" err)" = 1 ]'
python3 environment.py >out 2>err
status=$?
check "and is in the result" \
    '[ $status = 0 ] && grep -qx "OMP_NUM_THREADS=1" out && grep -qx "OPENBLAS_CORETYPE=Haswell" out && ! grep -q "changes what" out'
OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=2 run --no-plots --out r --only exact small.lua
python3 environment.py MALLOC_ARENA_MAX=2 OMP_NUM_THREADS=1 >out 2>err
status=$?
check "and what it was not asked to, with a warning" '[ $status = 0 ] && grep -q "^MALLOC_ARENA_MAX=2 and others are set, which changes" out'
own=$DRIFTLINE_ROOT/configs/examples/own_vectors.lua
awk 'BEGIN { srand(1); for (i = 0; i < 900; i++) print rand() "," rand() "," rand() "," rand() }' >own.csv
run --no-plots --out r --set data="$work/own.csv" "$own"
check "vectors of one's own, in one command" \
    '[ $status = 0 ] && grep -q "^exact  *1.0000" out && grep -q "\"rows\": 900" r/own_vectors/result.json && [ "$(grep -c "\"op\": \"insert\"" r/own_vectors/result.json)" -ge 6 ]'
check "which is no departure from a config that claims nothing" '! grep -q "Not the run" out && grep -q "^Changed on the command line: data=" out'
head -n 100 own.csv >few.csv
run --no-plots --out r --set data="$work/few.csv" "$own"
check "a tenth of few rows are the queries" '[ $status = 0 ] && grep -q "^exact  *1.0000 .* 90$" out'
run check --set data="$work/nothere.csv" "$own"
check "and when they are not there" '[ $status = 2 ] && grep -q "nothere.csv: cannot open" err'
run check --out results small.lua
check "check estimates time and memory by earlier results" '[ $status = 0 ] && grep -qE "^exact +2 +[0-9.]+ [mun]?s +[0-9.]+ KiB +small$" out && grep -qE "^total +[0-9]+ +[0-9.]+ [mun]?s " out'
run check --out results --set min_time=.003 small.lua
check "a search lasts min_time, one at a time and as a batch" '[ $status = 0 ] && grep -qE "^exact +2 +1[2-9][.0-9]* ms" out'
sed 's/w:search/w:concurrent { s:queries(50), writes = s:rows(2001, 2050), seconds = 90, alone = true } w:insert { s:rows(2051, 2150), rate = 10, batch = 10 } &/' small.lua >loads.lua
run check --out results --set min_time=0 loads.lua
check "loads last as long as they say, rows until they arrived" '[ $status = 0 ] && grep -qE "^exact +2 +6.3 min" out'
sed 's/dim = 16/dim = 100/' small.lua >wide.lua
run check --out results wide.lua
check "not by results of other dimensions" '[ $status = 0 ] && grep -qE "^exact +2 +not known +not known *$" out && grep -qE "^total +[0-9]+ +not known" out'
run check --out nowhere small.lua
check "nor without results" '[ $status = 0 ] && grep -q "^time  *not known: no results of this processor in nowhere" out'
run plot results/small
check "figures redraw" '[ $status = 0 ]'
check "and all of them have something to show" '! grep -q "no values to draw" err'
sed -e 's/name = "small"/name = "bare"/' -e 's/^  claims = {/  figures = { { "heatmap", x = "storage", y = "clusters", group = "seconds" }, { "profile" }, { "heatmap", x = "clusters", y = "nprobe" }, { "pareto", x = "nprobe" } },\n&/' small.lua >bare.lua
run --out results bare.lua
check "a figure without values is named" '[ $status = 0 ] && grep -q "figure 01-heatmap.*no values to draw" err'
check "a column of a table is drawn over its rows" '[ -s results/bare/02-profile.png ] && grep -q "^1,1,15," results/bare/02-profile.csv'
check "an axis of a parameter has its name, though a metric has that name too" \
    'grep -q "clusters<" results/bare/03-heatmap-*.svg && ! grep -q "clusters that have rows" results/bare/03-heatmap-*.svg'
check "no value of a parameter is better than another" \
    '[ -s results/bare/04-pareto-*.csv ] && ! cut -d, -f9 results/bare/04-pareto-*.csv | grep -q "[12]"'
config grid <<'LUA'
local s = synthetic { kind = "mixture", rows = 3000, dim = 16 }
experiment {
  workload = function(w)
    w:train { s:rows(1, 1000) }
    w:insert { s:rows(1, 2000), tag = "load" }
    w:search { s:queries(50), tag = "q" }
  end,
  methods = { method { "divf", grid = { clusters = { 16, 32 } }, sweep = { nprobe = { 1, 16 } } } },
  claims = { { "the most at a recall is that of the builds", function(r)
    local at = "distances@recall=0.95/q"
    local one, other = r("divf[clusters=16]", at), r("divf[clusters=32]", at)
    return one ~= other and r.most("divf", at) == math.max(one, other)
  end } },
}
LUA
run run --no-plots --out results grid.lua
check "the most of a metric at a recall is over the builds" '[ $status = 0 ] && grep -q "^holds *the most at a recall" out'
run report results/small/result.json
check "the report is written again" '[ $status = 0 ]'
check "it has the version of the program" 'python3 -c "import json, sys; sys.exit(json.load(open(\"results/small/result.json\"))[\"environment\"][\"build\"][\"version\"] != \"$version\")"'
cp -r results/small unversioned
sed -i '/"version": "'"$version"'"/d' unversioned/result.json
run report unversioned
check "a result of before there were versions is reported" '[ $status = 0 ] && ! grep -q "\"version\": \"$version\"" unversioned/result.json'
run compare results/small unversioned
check "and compared" '[ $status = 0 ] && grep -q "0 better, 0 worse" out'
cp -r results/small again
run compare results/small again
check "a result compared with itself shows no difference" '[ $status = 0 ] && grep -q "0 better, 0 worse" out'
run --out results --no-plots --set divf.clusters=4 --only ivf small.lua
check "--set changes a parameter, --only keeps one label" \
    '[ $status = 0 ] && grep -q "\"clusters\": 4" results/small/result.json && ! grep -q "\"method\": \"flat\"" results/small/result.json'
run compare --all --fail-on-regression again results/small
check "compare finds what changed: a quarter of the lists, so one of them holds more" \
    '[ $status = 1 ] && grep -q "nprobe=1\].*distances/q.* worse$" out && grep -q "nprobe=16\].*recall@5/q.* no difference shown$" out'
run compare results/small again
check "and the other way round the opposite" 'grep -q "nprobe=1\].*distances/q.* better$" out'
run compare --json results/small again
check "as JSON, every row" 'python3 -c "
import json, sys
rows = json.load(open(\"out\"))
assert {\"better\", \"worse\", \"no difference shown\"} <= {r[\"verdict\"] for r in rows}
assert all(set(r) == {\"label\", \"metric\", \"a\", \"b\", \"low\", \"high\", \"p\", \"could_see\", \"verdict\"} for r in rows)"'
run compare --csv results/small again
check "as CSV, the same rows" 'python3 -c "
import csv
rows = list(csv.DictReader(open(\"out\")))
assert {\"better\", \"worse\"} <= {r[\"verdict\"] for r in rows} and all(None not in r and float(r[\"a\"]) + float(r[\"b\"]) is not None for r in rows)"'
run compare --markdown results/small again
check "as Markdown, what differs" 'grep -q "^|  | metric | A | B |" out && grep -q "| worse |$" out && ! grep -q "no difference shown |$" out'
run compare --json --csv results/small again
check "in one format" '[ $status = 2 ] && grep -q "give one of them" err'
run compare --tolerance 1000 --fail-on-regression again results/small
check "a tolerance turns verdicts into none" 'grep -q "within the tolerance$" out && grep -qE "A: 0 better, 0 worse, of [0-9]+; [1-9][0-9]* differ by at most 1000 %" out'
run compare results/small again
check "which fails only when asked" '[ $status = 0 ] && grep -qE "A: [0-9]+ better, [1-9][0-9]* worse" out'
run compare --fail-on-regression results/small results/small
check "two repeats could not show a slow-down, which is a failure of its own" \
    '[ $status = 1 ] && grep -q "0 better, 0 worse" out && grep -q "could not show a slow-down of 10 %: at least 3 repeats" err'
run compare --fail-on-regression again results/small
check "rows without a difference are counted" 'grep -qE "^[1-9][0-9]* of [0-9]+ rows show no difference; --all prints them$" out && ! grep -q "no difference shown$" out'
check "a label that B lacks is named" '[ $status = 1 ] && grep -q "results/small has no result of \"exact\", which again has" err'
run --out only --no-plots --repeats 3 --only exact small.lua
run compare --fail-on-regression only/small results/small
check "nothing in common is a failure when asked" '[ $status = 1 ] && grep -q "no label and metric in common" err'
run compare only/small results/small
check "and only then" '[ $status = 0 ] && grep -q "no label and metric in common" err'
# Three runs of a few microseconds may differ more than any change that can be shown: all get the times of the first.
python3 - only/small/result.json <<'PY'
import json, sys
result = json.load(open(sys.argv[1]))
for cell in result["cells"]: cell["steps"] = result["cells"][0]["steps"]
json.dump(result, open(sys.argv[1], "w"), indent=2)
PY
rm -r only/small/cells # they are not as the result has them any more
run compare --all --fail-on-regression --regression 100 only/small only/small
check "three repeats show what is large enough" '[ $status = 0 ] && grep -q "could see" out && grep -q "at different times" out'
cp -r only lost
python3 - lost/small/result.json <<'PY'
import json, sys
result = json.load(open(sys.argv[1]))
for cell in result["cells"]:
    for step in cell["steps"]:
        if step["op"] == "search": step.update(status="unsupported", recall=None, single_per_second=None, per_second=None)
json.dump(result, open(sys.argv[1], "w"))
PY
run compare --fail-on-regression --regression 100 only/small lost/small
check "what B does not do any longer is a regression" '[ $status = 1 ] && grep -q "lost/small has no recall@5/q of \"exact\", which only/small has" err'
for change in 'k=7' 'threads=2' 'seed=9'; do
    cp -r only other
    python3 - other/small/result.json "${change%=*}" "${change#*=}" <<'PY'
import json, sys
result = json.load(open(sys.argv[1]))
result["experiment"][sys.argv[2]] = int(sys.argv[3])
json.dump(result, open(sys.argv[1], "w"))
PY
    run compare only/small other/small
    check "another measurement is refused, with what differs: $change" \
        '[ $status = 2 ] && grep -q "the two results differ in ${change%=*}: .* in A, ${change#*=} in B" err && grep -q "are not of the same measurement; --different" err && [ ! -s out ]'
    rm -r other
done
cp -r only other
sed -i '0,/"sha256": "xxh64:/s//"sha256": "xxh64:0/; 0,/"rows": [0-9]*/s//"rows": 12345/' other/small/result.json
run compare only/small other/small
check "so is one of other data" '[ $status = 2 ] && grep -q "the two results differ in data: " err'
run compare --different only/small other/small
check "unless it is meant" '[ $status = 0 ] && grep -q "the two results differ in data: " err && grep -q "^B against A: " out'
cp -r only busy
python3 - busy/small/result.json <<'PY'
import json, sys
result = json.load(open(sys.argv[1]))
result["environment"]["load"][0] += 1000
json.dump(result, open(sys.argv[1], "w"))
PY
run compare only/small busy/small
check "another load is named" '[ $status = 0 ] && grep -q "the load of the machine differs" err'
cp -r only crashed
sed -i '0,/"status": "ok"/s//"status": "failed"/' crashed/small/result.json
run compare --fail-on-regression --regression 100 only/small crashed/small
check "a repeat that failed is not left out in silence" '[ $status = 1 ] && grep -q "has 1 cell without status ok" err'

# ---- a paper: its configs, then one page
mkdir -p paper/configs
ln -s "$DRIFTLINE_ROOT"/plots "$DRIFTLINE_ROOT"/datasets paper/
cp small.lua paper/configs/
sed 's/name = "small"/name = "second"/' small.lua >paper/configs/second.lua
printf 'toy configs/small.lua\ntoy configs/second.lua\nother configs/nothere.lua\n' >paper/configs/papers.txt
root=$DRIFTLINE_ROOT
DRIFTLINE_ROOT=$work/paper
run reproduce --quick toy
page=paper/results/reproduce-toy.html
check "reproduce counts its configs" 'grep -qE "^1 of 2: configs/" err && grep -qE "^2 of 2: configs/.*, after [0-9.]+ (s|min)$" err && grep -qE "^2 of 2 configs in [0-9.]+ (s|min)$" err'
check "a paper is reproduced on one page" '[ $status = 0 ] && [ -s $page ] && grep -q "$page" out'
check "of a quick run no claim is measured" \
    'grep -q "Of 4 published claims 0 are measured here and 0 reproduced; of the 4 we add, 0 are measured and 0 hold" $page'
check "has every config, with what its author says of it" \
    '[ "$(grep -c "A small thing, &amp; what it &lt;shows&gt;" $page)" = 2 ] && grep -q "id=\"result-2\"" $page'
check "and says first that it was quick, on what machine and by what program" \
    'grep -q "reproduce toy: not a full run (--quick)" out && grep -q "Not a full run</b>: 0 of 2 configs" $page && grep -q "Machine: .*Program: Driftline $version, commit .*sha256 of its code and data [0-9a-f]\{64\}" $page'
check "and what each config ran" 'grep -q "small</a></td><td class=\"wrap\">--quick</td><td class=\"text\">3000 x 16</td><td>1</td><td>2 of 2</td><td>0</td>" $page'
run reproduce toy
check "a full run counts what holds, the publication's and ours" \
    '[ $status = 0 ] && grep -q "a full run" out && grep -q "A full run</b>" $page && grep -q "Of 4 published claims 4 are measured here and 2 reproduced; of the 4 we add, 2 are measured and 2 hold" $page && grep -q "Claims of A &amp; B &lt;2025&gt;" $page'
echo 'toy configs/nothere.lua' >>paper/configs/papers.txt
run reproduce --quick toy
check "a config without a result is named on the page" '[ $status = 2 ] && grep -q "No result: configs/nothere.lua" $page && grep -q "id=\"result-2\"" $page'
DRIFTLINE_ROOT=$root

# ---- results that cannot be written
mkdir readonly && chmod a-w readonly
if [ "$(id -u)" != 0 ]; then
    run --out readonly small.lua
    check "a folder that cannot be written is said before any work" '[ $status != 0 ] && grep -q readonly err'
fi
touch notafolder
run --out notafolder small.lua
check "a file where the results folder should be" '[ $status != 0 ] && grep -q notafolder err'

# ---- data of one's own
cat >own.lua <<'LUA'
local f = file(option("path", "own.csv", "what to read"))
experiment {
  name = "own", k = 2,
  workload = function(w) w:insert { f:rows(1, 4) }; w:search { f:rows(5, 6), tag = "q" } end,
  methods = { method { "flat" } },
}
LUA
printf '1,2\n3,4\n5,6\n7,8\n1,2.5\n7,9\n' >own.csv
for format in csv fvecs fbin npy csv.gz; do
    [ $format = csv ] || run convert own.csv own.$format
    run --no-plots --out r --set path=own.$format own.lua
    check "a config over one's own $format" '[ $status = 0 ] && grep -q "^flat *1.0000" out'
done
printf 'id,x,y\n7,1,2\n9,3,4\n3,5,6\n2,7,8\n5,1,2.5\n8,7,9\n' >named.csv
run --no-plots --out r --set path=named.csv own.lua
check "what a reader decides is said" '[ $status = 0 ] && grep -qx "named.csv: line 1 is a header, skipped; column 1 holds ids, left out" err'
head -c 60 own.npy >torn.npy
run --no-plots --out r --set path=torn.npy own.lua
check "a torn file" '[ $status = 2 ] && grep -q "torn.npy" err'
DRIFTLINE_OFFLINE=1 run fetch sift-128-euclidean
check "a dataset that cannot be fetched names each source and why" \
    '[ $status = 1 ] && grep -q "/datasets: has no such file" err && grep -qi "offline" err && grep -q "ann-benchmarks" err'

exit $failed
