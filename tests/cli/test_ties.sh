#!/bin/bash
# test_ties.sh - rows at equal distances are as good as each other, wherever answers are scored.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
export DRIFTLINE_MIN_TIME=0

# 30 copies of one vector; each component differs by at most two units in the last place
python3 - <<'PY'
import random, struct
random.seed(1)
f32 = lambda x: struct.unpack("f", struct.pack("f", x))[0]
base = [.1234567, .7654321, -.3141592, .2718281]
rows = [[f32(f32(x) * (1 + random.choice([-2, -1, 0, 1, 2]) * 6e-8)) for x in base] for _ in range(30)]
for name, part in ("rows", rows), ("queries", rows[:6]):
    open(name + ".csv", "w").write("".join(",".join("%.9g" % x for x in r) + "\n" for r in part))
PY
cat >copies.lua <<'LUA'
local data = file { "rows.csv", queries = "queries.csv", header = false, metric = option("by", "cosine") }
experiment {
  name = "copies", k = 5,
  workload = function(w)
    w:insert { data:rows(1, 20) }
    w:concurrent { data:queries(), writes = data:rows(21, 30), readers = 1, writers = 1, seconds = .05, tag = "both" }
    w:search { data:queries(), tag = "q" }
    w:range { data:queries(), radius = tonumber(option("radius", "1e-15")), tag = "near" }
  end,
  methods = { method { "flat" } },
}
LUA
for by in cosine:1e-15 l2:1e-14 ip:-0.77; do
    run run --no-plots --quiet --force --out r --set by=${by%:*} --set radius=${by#*:} copies.lua
    check "${by%:*}: an exact scan of near copies is right" '[ $status = 0 ] && python3 - <<PY
import json
cell = json.load(open("r/copies/result.json"))["cells"][0]
at = {s.get("tag"): s for s in cell["steps"]}
assert cell["status"] == "ok", cell
assert at["q"]["recall"]["mean"] == 1 and at["near"]["range"]["recall"] in (1, None), at
assert not any("distances are not" in (s.get("note") or "") for s in cell["steps"]), at
PY'
done

# ---- a truth from elsewhere: ties by the highest id, where a scan answers with the lowest; as ids and with distances
python3 - <<'PY'
import random, struct
random.seed(3)
rows = [[random.randrange(4) for _ in range(4)] for _ in range(300)]
asked = [[random.randrange(4) for _ in range(4)] for _ in range(20)]
near = lambda q, ids, sign=-1: sorted(ids, key=lambda i: (sum((a - b) ** 2 for a, b in zip(q, rows[i])), sign * i))[:10]
text = lambda name, rows: open(name, "w").write("".join(",".join(map(str, r)) + "\n" for r in rows))
text("tied.csv", rows)
text("asked.csv", asked)
text("true.csv", [near(q, range(300)) for q in asked])
text("other.csv", [near([3 - x for x in q], range(300)) for q in asked])
with open("true.truth", "wb") as f: # ids, then distances, as big-ann's
    f.write(struct.pack("<II", 20, 10) + b"".join(struct.pack("<10I", *near(q, range(300))) for q in asked) + bytes(800))
PY
cat >ties.lua <<'LUA'
local data = file { "tied.csv", queries = "asked.csv", header = false }
experiment { name = "ties", k = 10, workload = function(w) w:insert { data:rows(1, tonumber(option("rows", 300))) } end, methods = { method { "flat" } } }
LUA
run build ties.lua --save whole
for truth in true.csv true.truth; do
    run search whole asked.csv --header no --truth $truth
    check "ties of $truth count" '[ $status = 0 ] && grep -q "^recall   1.0000 of the first 10 ids of $truth; ties count$" out && ! grep -q "^absent\|^wrong" out'
done
mkdir -p elsewhere && cd elsewhere || exit 1
run search ../whole ../asked.csv --header no --truth ../true.csv
check "the rows are found from another folder" '[ $status = 0 ] && grep -q "^recall   1.0000 .*ties count$" out'
cd .. || exit 1
run search whole asked.csv --header no --truth other.csv
check "a truth of other queries is recognised" '[ $status = 0 ] && grep -q "^wrong .* answers are nearer than the last true id .*other.csv is of other rows, or not of metric l2" out'
run build ties.lua --save part --set rows=200
run search part asked.csv --header no --truth true.csv
check "true ids that the index lacks are counted, and bound the recall" '[ $status = 0 ] && python3 - <<PY
import re
text = open("out").read()
absent, of, most = re.search(r"^absent +(\d+) of the (\d+) true ids are not in the index, so its recall is at most ([\d.]+)", text, re.M).groups()
lacks = sum(int(x) >= 200 for line in open("true.csv") for x in line.split(","))
assert int(absent) == lacks > 0 and int(of) == 200, text
assert abs(float(most) - (1 - lacks / 200)) < 1e-4 and "recall   %s of" % most in text, text
PY'
sed -i '1s/$/ -- changed/' ties.lua
run search part asked.csv --header no --truth true.csv
check "without the rows it is said that ties do not count, and why" \
    '[ $status = 0 ] && grep -q "^recall   0.[0-9]* .*; ties do not count$" out && grep -q "ids alone are compared: .*ties.lua has changed" out && grep -q "^absent" out'

exit $failed
