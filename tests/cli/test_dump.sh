#!/bin/bash
# test_dump.sh - two methods measured alternately, and the answers that a run stores,
# from the command line.
# Needs: schema
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program

# A mean over 211 queries has more than six digits, and what a sweep takes at a recall between a few lists and all has more of that error.
cat >pages.lua <<'LUA'
local data = synthetic { kind = "mixture", rows = 3000, dim = 8 }
experiment { name = "pages", k = 5,
  workload = function(w) w:insert { data } w:search { data:queries(211), tag = "q" } end,
  methods = { method { "flat" }, method { "divf", params = { clusters = 200 }, sweep = { nprobe = { 8, 200 } } } } }
LUA
cat >duel.lua <<'LUA'
local data = synthetic { kind = "mixture", rows = 3000, dim = 16 }
experiment {
  name = "duel", k = 10,
  workload = function(w)
    w:train { data:rows(1, 1000), tag = "train" }
    w:insert { data:rows(1, 3000), tag = "load" }
    w:search { data:queries(100), tag = "q" }
    w:delete { random = 100, tag = "gone" }
    w:range { data:queries(100), radius = 8 }
  end,
  methods = {
    method { "flat" },
    method { "divf", params = { clusters = 16 }, sweep = { nprobe = { 1, 16 } } },
  },
  compare = { { "divf[nprobe=1]", "flat", within = .2, budget = 4 }, { "flat", "divf[nprobe=16]", within = 2, budget = 12 } },
  -- A tenth of the work: the median is beyond 1 on any machine, the interval is not.
  claims = {
    { "a list is faster than all rows", function(r) return r.ratio("divf[nprobe=1]", "flat", "q") > 1 end },
    { "a sweep reaches what its best point does", function(r)
      return r.most("divf", "recall@10/q") == 1 and r("divf[nprobe=1]", "recall@10/q") < 1 and r.most("flat", "recall@10/q") == 1
    end },
    { "not where it has no such metric", function(r) return not pcall(r.most, "divf", "recall@7/q") end },
  },
}
LUA
run run --no-plots --out r duel.lua
check "two pairs are measured alternately" '[ $status = 0 ] && [ "$(grep -c "measuring alternately" err)" = 2 ]'
check "a search in rounds, changes once a replay" 'grep -qE "^divf\[nprobe=1\] +flat +q +[0-9.]+ +[0-9.]+ \.\. [0-9.]+ +[0-9]+ in .*" out && grep -qE "^divf\[nprobe=1\] +flat +gone +[0-9.]+ " out'
check "what one of them does not do is not measured" 'grep -qE "flat +train +- +- +0 in .*not measured: one of the two does not support it" out'
check "a claim asks for the ratio" 'grep -q "^holds *a list is faster" out'
check "and for the most of a sweep" 'grep -q "^holds *a sweep reaches" out && grep -q "^not measured *not where it has" out'
python3 - "$root/results/schema.json" >out 2>&1 <<'PY'
import json, jsonschema, sys
result = json.load(open("r/duel/result.json"))
jsonschema.Draft7Validator(json.load(open(sys.argv[1]))).validate(result)
rows = {(c["a"], c["b"], c["op"], c["tag"]): c for c in result["compare"]}
q = rows["divf[nprobe=1]", "flat", "search", "q"]
assert q["replays"] >= 5 and q["recall_b"] == 1 and q["low"] <= q["ratio"] <= q["high"] and q["ratio"] > 1, q
assert rows["divf[nprobe=1]", "flat", "range", "range"]["replays"] >= 5
assert rows["divf[nprobe=1]", "flat", "insert", "load"]["replays"] >= 5
PY
status=$?
check "the result has it, as the schema says" '[ $status = 0 ]'
[ -e r/duel/scratch ]
status=$?
check "nothing is left of the held processes" '[ $status = 1 ]'

run run --no-plots --only flat --out r duel.lua
check "without one of the two, nothing is measured alternately" '[ $status = 0 ] && grep -q "not measured: one of the two did not run" out'

# ---- answers
run run --no-plots --force --out r duel.lua
run dump r/duel
cp out answers
check "dump gives the ids of every search, range and point" '[ $status = 0 ] && [ "$(cut -f1,4 out | sort -u | wc -l)" = 7 ] && head -1 out | grep -qx "label.repeat.operation.tag.query.rank.id"'
check "k for each query, from 1 on" '[ "$(grep -c "^flat	1	3	q	" out)" = 1000 ] && grep -q "^flat	1	3	q	100	10	[0-9]*$" out'
check "an operation without a tag has its own name" 'grep -q "^flat	1	5	range	1	1	" out'
run dump r/duel/result.json
check "of a file as of its folder" '[ $status = 0 ] && cmp -s out answers'
run dump --only flta r/duel
check "a label that no cell has is an error" '[ $status = 2 ] && grep -q "no cell of --only has stored answers" err'
run dump --only flat r/duel
check "of one label" '[ $status = 0 ] && ! grep -q "^divf" out && grep -q "^flat" out'
check "an exact method's answers score 1 with others' eyes" 'python3 - <<PY
import collections
flat, full = collections.defaultdict(set), collections.defaultdict(set)
for line in open("answers"):
    label, repeat, op, tag, query, rank, id = line.rstrip("\n").split("\t")
    if tag == "q" and label == "flat": flat[query].add(id)
    if tag == "q" and label == "divf[nprobe=16]": full[query].add(id)
assert len(flat) == 100 and flat == full
PY'

# ---- export
run export r/duel
check "export asks for --out" '[ $status = 2 ] && grep -q -- "--out is missing" err'
run export r/duel --out e.jsonl
check "JSON Lines for other programs" '[ $status = 0 ] && [ "$(cat out)" = e.jsonl ]'
python3 - >out 2>&1 <<'PY'
import json, sqlite3
result = json.load(open("r/duel/result.json"))
db = sqlite3.connect(":memory:")
db.execute("create table rows (line text)")
lines = open("e.jsonl").read().splitlines()
db.executemany("insert into rows values (?)", [(line,) for line in lines])
assert all(not isinstance(v, (dict, list)) for line in lines for v in json.loads(line).values())
count = "select count(*) from rows where json_extract(line, '$.kind') = ?"
assert db.execute(count, ("summary",)).fetchone() == (len(result["summary"]),)
assert db.execute(count, ("step",)).fetchone() == (sum(len(c["steps"]) for c in result["cells"]),)
for label, metric, median in db.execute("""select json_extract(line, '$.label'), json_extract(line, '$.metric'),
        json_extract(line, '$.median') from rows where json_extract(line, '$.kind') = 'summary'"""):
    assert [s["median"] for s in result["summary"] if (s["label"], s["metric"]) == (label, metric)] == [median], (label, metric)
found = db.execute("""select json_extract(line, '$.label'), json_extract(line, '$."knobs.nprobe"'),
        json_extract(line, '$."recall@10"'), json_extract(line, '$.qps') from rows
        where json_extract(line, '$.op') = 'search' order by 2""").fetchall()
cells = [c for c in result["cells"]]
steps = {c["label"] + ("[" + c["point"] + "]" if c["point"] else ""): s for c in cells for s in c["steps"] if s["op"] == "search"}
assert len(found) == 3 and {row[1] for row in found} == {None, 1, 16}, found
for label, _, recall, qps in found:
    assert (recall, qps) == (steps[label]["recall"]["mean"], steps[label]["per_second"])
PY
status=$?
check "sqlite reads each row of the summary, and each step with its metrics" '[ $status = 0 ]'
cp e.jsonl before
run export r/duel --out e.jsonl
check "a file that exists is refused" '[ $status = 2 ] && grep -q "e.jsonl exists; --force" err && cmp -s e.jsonl before'
run export r/duel --out e.jsonl --force
check "--force replaces it" '[ $status = 0 ]'
run export r/duel --out duel.json.gz
check "a packed result" '[ $status = 0 ] && gzip -t duel.json.gz && [ "$(stat -c %s duel.json.gz)" -lt "$(stat -c %s r/duel/result.json)" ]'
run export duel.json.gz --out again.json.gz
check "packed again, it has the same bytes" '[ $status = 0 ] && cmp -s duel.json.gz again.json.gz'
run export duel.json.gz --out p.jsonl
check "its rows are those of the result" '[ $status = 0 ] && [ "$(wc -l <p.jsonl)" = "$(wc -l <e.jsonl)" ]'
run compare duel.json.gz r/duel
check "compare takes it, and finds no difference" '[ $status = 0 ] && grep -q "^B against A: 0 better, 0 worse" out'
run run --no-plots --repeats 2 --out r pages.lua
run export r/pages --out pages.json.gz
run compare r/pages pages.json.gz
check "nor where a count has more digits than it" '[ $status = 0 ] && grep -q "^B against A: 0 better, 0 worse, of [1-9]" out'
run compare pages.json.gz pages
check "its folder is as it is" '[ $status = 0 ] && grep -q "^B against A: 0 better, 0 worse, of [1-9]" out && grep -q "\"digits\": 6" pages/result.json'
run run --no-plots --repeats 2 --part 1/2 --out part pages.lua
run compare r/pages part/pages
check "compare says that a run has not finished" '[ $status = 0 ] && grep -q "part/pages: the run has not finished: 2 of 4 cells have run; ./harness run --resume" err'
run compare part/pages part/pages
check "once of a run beside itself" '[ $status = 0 ] && [ "$(grep -c "the run has not finished" err)" = 1 ]'
run report part/pages
check "report says so" '[ $status = 0 ] && grep -q "part/pages: the run has not finished: 2 of 4 cells" err'
run plot part/pages
check "and plot" '[ $status = 0 ] && grep -q "part/pages: the run has not finished: 2 of 4 cells" err'
run report r/pages
check "but not of a whole run" '[ $status = 0 ] && [ ! -s err ]'
run export part/pages --out part.jsonl
check "so does export" '[ $status = 0 ] && grep -q "part/pages: the run has not finished: 2 of 4 cells" err'
run export r/duel --out exported
run compare r/duel exported
check "an export in another layout is no result" '[ $status = 2 ] && grep -q "exported has no result.json; expected the folder of a run" err'
run compare e.jsonl r/duel
check "nor are JSON Lines, and no result.json beside them is taken" '[ $status = 2 ] && grep -q "e.jsonl is not a result; expected the folder of a run" err'
run inspect exported
check "inspect says what it expects" '[ $status = 2 ] && grep -q "exported: neither a saved index" err'
run report duel.json.gz
check "its page goes beside it" '[ $status = 0 ] && [ -s duel/report.html ]'
echo '{"run": {"digits": 6}}' >duel/result.json
run report duel.json.gz
check "it is unpacked again where what is there is not it" '[ $status = 0 ] && grep -q "\"cells\"" duel/result.json'
cp duel/result.json first.json && touch -d 2000-01-01 duel.json.gz
cp -r r/pages duel.run && run export duel.run --out other.json.gz && touch -d 1999-01-01 other.json.gz && mv other.json.gz duel.json.gz
run report duel.json.gz
check "also if it is older" '[ $status = 0 ] && ! cmp -s first.json duel/result.json'
run export duel.run --out duel.run.json.gz
for command in report "compare duel.run"; do
    # shellcheck disable=SC2086  # a command and its argument
    run $command duel.run.json.gz
    check "the result of a run is not replaced: $command" '[ $status = 2 ] && grep -q "duel.run.json.gz: beside it is the result of a run" err && cmp r/pages/result.json duel.run/result.json'
done
head -c 500 duel.json.gz >short.json.gz
run report short.json.gz
check "a packed result that is cut short is refused" '[ $status = 2 ] && grep -q "short.json.gz: damaged: unexpected end" err && [ ! -e short ]'
run export r/duel --out e.csv
check "other kinds of files are refused" '[ $status = 2 ] && grep -q "expected FILE.jsonl" err && [ ! -e e.csv ]'
mkdir there
run export r/duel --out there
check "a folder that exists is refused" '[ $status = 2 ] && grep -q "there exists; --force" err && [ -z "$(ls there)" ]'
(ulimit -f 8; exec "$program" export r/duel --out full.jsonl) >out 2>err
"$program" dump r/duel >/dev/full 2>err
status=$?
check "output that a full disk loses is an error" '[ $status = 2 ] && grep -q "standard output cannot be written" err'
"$program" dump r/duel 2>err | head -1 >out
status=${PIPESTATUS[0]}
check "what head does not read is none" '[ "$status" = 0 ] && ! [ -s err ]'
check "a full disk leaves no file" '[ -z "$(ls | grep full)" ]'
if grep -q "^HAVE_HDF5 *:= *1" "$root/build/config.mk" || grep -q DHAVE_HDF5 "$root/build/config.mk"; then
    run export r/duel --out ann/
    check "a file of ann-benchmarks for each cell and point" '[ $status = 0 ] && [ "$(find ann -type f | sed "s|/[0-9]*-3-|/|" | sort | tr "\n" " ")" = "ann/duel/10/divf/nprobe_1.hdf5 ann/duel/10/divf/nprobe_16.hdf5 ann/duel/10/flat/default.hdf5 " ]'
    run export r/duel --out ann --force
    check "--force writes into the folder" '[ $status = 0 ] && [ "$(find ann -type f | wc -l)" = 3 ]'
fi

# ---- a smaller run into the same folder leaves files of the run before
cp -r r smaller
run run --no-plots --only flat --out smaller duel.lua
run dump smaller/duel
check "dump has the cells of the result alone" '[ $status = 0 ] && [ -e smaller/duel/cells/1.answers ] && [ "$(cut -f1 out | sort -u | tr "\n" " ")" = "flat label " ]'

# ---- damage
truncate -s 100 r/duel/cells/0.answers
run dump r/duel
check "a damaged file is named" '[ $status = 2 ] && grep -q "cells/0.answers: the file is damaged or truncated" err'
rm r/duel/cells/*.answers
run dump r/duel
check "a result without answers says so" '[ $status = 2 ] && grep -q "no cell has stored answers" err'
run export r/duel --out none
check "and cannot be exported to ann-benchmarks" '[ $status = 2 ] && [ ! -e none ] && grep -qE "no search has stored answers|HDF5 is left out" err'
run export r/duel --out none.jsonl
check "but to JSON Lines" '[ $status = 0 ] && [ -s none.jsonl ]'

exit $failed
