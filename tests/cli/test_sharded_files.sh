#!/bin/bash
# test_sharded_files.sh - ranks of an index read their rows from the file of the data, where there is one that has them; where it
# is not there or has changed, the rows are sent. The answers are exact in each case.
# shellcheck disable=SC2016,SC2034,SC2154,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
export TMPDIR=$work

if [ ! -e "$root/build/libdriftline_mpi.so" ]; then
    echo "ok - ranks that read files # SKIP there is no Open MPI"
    exit 0
fi
cp "$root/build/libdriftline_mpi.so" .

rows=6000 dim=24
cat >write.py <<'PYTHON'
import random, struct, sys
path, n, dim, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
random.seed(seed)
with open(path, "wb") as f:
    f.write(struct.pack("<II", n, dim))
    if path.endswith(".u8bin"):
        f.write(random.randbytes(n * dim))
    else:
        for _ in range(n):
            f.write(struct.pack("<%df" % dim, *(random.gauss(0, 1) for _ in range(dim))))
PYTHON
python3 write.py rows.fbin $rows $dim 1
python3 write.py other.fbin $rows $dim 2
python3 write.py queries.fbin 50 $dim 3
python3 write.py rows.u8bin $rows $dim 1
python3 write.py queries.u8bin 50 $dim 3
run convert rows.fbin rows.fvecs
run convert rows.fbin rows.npy
run convert rows.fbin rows.fbin.gz
formats="rows.fbin rows.fvecs rows.npy rows.u8bin"

# Loads in a few calls, in order and shuffled, with changes between them.
cat >load.lua <<'LUA'
local path = option("path", "rows.fbin", "the rows")
local data = file { path, queries = path:match("u8bin") and "queries.u8bin" or "queries.fbin" }
experiment {
  name = "load", k = 10,
  workload = function(w)
    w:insert { data:rows(1, 1500), tag = "load" }
    w:insert { data:rows(1501, 2500):shuffle(), batch = 250, singles = 7, tag = "shuffled" }
    w:delete { random = 500 }
    w:insert { data:rows(2501, 3000), batch = 100, tag = "rest" }
    w:search { data:queries(), tag = "ask" }
    w:checkpoint "end"
  end,
  methods = {
    method { "sharded", label = "hash", params = { of = "flat", shards = 5, ranks = 3 } },
    method { "sharded", label = "range", params = { of = "hnsw", shards = 2, ranks = 2, replicas = 2, placement = "range" },
             knobs = { of_knobs = "ef_search=2000" } },
  },
}
LUA
result() { # FOLDER EXPRESSION of each cell's `stats` at its end, `recall` and `inserted` rows
    python3 - "$1" "$2" <<'PYTHON'
import json, sys
r = json.load(open(sys.argv[1]))
for cell in r["cells"]:
    stats = [s["stats"] for s in cell["steps"] if "rows_from_files" in s["stats"]][-1]
    recall = [s["recall"]["min"] for s in cell["steps"] if s.get("recall")]
    wrong = sum(s.get("wrong_ids") or 0 for s in cell["steps"])
    label, files, sent = cell["label"], stats["rows_from_files"], stats["sent_bytes"]
    if cell["status"] != "ok" or recall != [1] * len(recall) or not recall or wrong or not eval(sys.argv[2]):
        sys.exit(f"{label}: {cell['status']} {cell.get('error')} recall {recall} wrong {wrong} files {files} sent {sent}")
PYTHON
}

for path in $formats; do
    run run --no-plots --out "from-$path" --set path="$path" load.lua
    check "rows of $path are read by the ranks" 'result "from-$path/load/result.json" "files > 1500" 2>why || { cat why >>err; false; }'
done
run run --no-plots --out sent --set path=rows.fbin.gz load.lua
check "rows of a gzip file are sent" 'result sent/load/result.json "files == 0" 2>why || { cat why >>err; false; }'
sent_bytes() { # FOLDER: of the first cell
    python3 -c "
import json
r = json.load(open('$1/load/result.json'))
print(int([s['stats']['sent_bytes'] for s in r['cells'][0]['steps'] if 'sent_bytes' in s['stats']][-1]))"
}
check "reading saves most of their bytes" '[ $(($(sent_bytes sent) - $(sent_bytes from-rows.fbin))) -gt $((3000 * 2 / 3 * (dim * 4 - 16) * 9 / 10)) ]'

# While the centroids are computed, which takes a second or more, the file goes.
cat >late.lua <<'LUA'
local data = file { "here.fbin", queries = "queries.fbin" }
experiment {
  name = "late", k = 10,
  workload = function(w)
    w:train { data }
    w:insert { data:rows(1, 3000), tag = "load" }
    w:insert { data:rows(3001, 6000), batch = 500, tag = "more" }
    w:search { data:queries(), tag = "ask" }
  end,
  methods = {
    method { "sharded", params = { of = "flat", shards = 4, ranks = 2, placement = "cluster", buckets = 2048 }, knobs = { route = 0 } },
  },
}
LUA
late() { # COMMAND...: run when the cell has begun
    cp rows.fbin here.fbin
    : >err # what is read there tells that it has begun
    "$program" run --no-plots --out late late.lua >out 2>err &
    local job=$!
    for _ in $(seq 6000); do
        grep -q "begins" err && break
        sleep .01
    done
    "$@"
    wait $job
}
late true
check "a file that stays is read" 'result late/late/result.json "files > 2000" 2>why || { cat why >>err; false; }'
late rm here.fbin
check "one that is removed is not, and its rows are sent" 'result late/late/result.json "files == 0" 2>why || { cat why >>err; false; }'
late mv other.fbin here.fbin
check "nor one that is replaced by a file of other rows" 'result late/late/result.json "files == 0" 2>why || { cat why >>err; false; }'
cut_file() {
    head -c 1000 rows.fbin >short.fbin
    mv short.fbin here.fbin
}
late cut_file
check "nor by a shorter one" 'result late/late/result.json "files == 0" 2>why || { cat why >>err; false; }'
check "no process of a rank stays" '[ -z "$(pgrep -f "^$program rank")" ]'

exit $failed
