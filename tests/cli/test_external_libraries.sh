#!/bin/bash
# test_external_libraries.sh - the clients of `external` over Python libraries: without the library the cell says so; with a fake
# of the library's interface (tests/cli/fakes) the answers are exact and the calls are the expected ones.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
clients=$root/configs/examples/external
if ! python3 -c '' 2>/dev/null; then
    echo "ok - all # SKIP there is no python3"
    exit 0
fi
python=$(python3 -c 'import sys; print(sys.executable)')

cat >library.lua <<'LUA'
local data = synthetic { kind = "mixture", rows = 400, dim = 8, clusters = 9 }
local static = option("static", false)
experiment {
  name = "library", k = 10,
  workload = function(w)
    w:insert { data:rows(1, 300), tag = "load" }
    w:search { data:queries(20), tag = "ask" }
    if not static then
      w:delete { data:rows(1, 100), tag = "gone" }
      w:insert { data:rows(301, 400), tag = "more" }
      w:search { data:queries(20), tag = "again" }
    end
  end,
  methods = {
    method { "external", params = { command = option("command", ""), options = option("options", "") },
             knobs = { effort = option("effort", 0) } },
  },
}
LUA

ask() { # CLIENT ARGUMENT...
    local client=$1
    shift
    rm -rf results
    run run --allow-programs --no-plots --out results --set "command=$python $client" "$@" library.lua
}

cell() { # CODE: asserts about `cell` and `steps` by tag
    python3 - <<PY
import json
(cell,) = json.load(open("results/library/result.json"))["cells"]
steps = {step["tag"]: step for step in cell["steps"] if "tag" in step}
assert $1, (cell["status"], cell["error"])
PY
}

# Python finds a folder first: its empty module hides a library that is installed.
mkdir missing
for module in usearch diskannpy scann; do
    echo "raise ImportError('no library $module here')" >missing/$module.py
    PYTHONPATH=missing ask "$clients/${module}_index.py"
    check "without $module, the cell fails with the reason" \
        '[ $status = 1 ] && cell "cell[\"status\"] == \"failed\" and \"the package '$module' of PyPI has it\" in cell[\"error\"]"'
done

export PYTHONPATH=$root/tests/cli/fakes FAKE_CALLS=$work/calls PYTHONDONTWRITEBYTECODE=1
exact='cell["status"] == "ok" and all(steps[tag]["recall"]["mean"] == 1 and steps[tag]["wrong_ids"] == 0 for tag in ("ask", "again") if tag in steps)'
called() { # LINE...: each was called
    local line
    for line; do
        grep -qx "$line" calls || { echo "not called: $line" >>err; tail -n 20 calls >>err; return 1; }
    done
}

for metric in l2:l2sq ip:ip cosine:cos; do
    rm -f calls
    ask "$clients/usearch_index.py" --set metric=${metric%:*} --set "options=connectivity=8" --set effort=33
    check "usearch, ${metric%:*}: exact, by the expected calls" '[ $status = 0 ] && cell "$exact" && called \
        "Index ndim=8 metric=${metric#*:} dtype=f32 connectivity=8 expansion_add=128" "add threads=1" "remove threads=1" \
        "search count=10 threads=1 expansion_search=33" && cell "steps[\"ask\"][\"distances\"] == 300"'
done

for metric in l2 cosine; do
    rm -f calls
    ask "$clients/diskannpy_index.py" --set metric=$metric --set "options=degree=32 most_rows=350" --set effort=5
    check "diskannpy, $metric: exact, by the expected calls" '[ $status = 0 ] && cell "$exact" && called \
        "DynamicMemoryIndex dimensions=8 max_vectors=350 complexity=100 graph_degree=32 alpha=1.2 num_threads=1 \
initial_search_complexity=100 search_threads=1" "batch_insert num_threads=1" "consolidate_delete marked=100" \
        "batch_search k_neighbors=10 complexity=10 num_threads=1"'
done
ask "$clients/diskannpy_index.py" --set "options=most_rows=250"
check "diskannpy: rows that it did not take are an error" \
    'cell "\"did not insert 50 of 300 rows; most_rows is 250\" in cell[\"error\"]"'
ask "$clients/diskannpy_index.py" --set metric=ip
check "diskannpy: a metric that the client lacks is unsupported" \
    'cell "cell[\"status\"] == \"unsupported\" and \"no metric ip\" in cell[\"error\"]"'

for metric in l2:squared_l2 ip:dot_product cosine:squared_l2; do
    rm -f calls
    ask "$clients/scann_index.py" --set metric=${metric%:*} --set static=true --set "options=leaves=20 reorder=50" --set effort=7
    check "ScaNN, ${metric%:*}: exact, by the expected calls" '[ $status = 0 ] && cell "$exact" && called \
        "builder rows=300 num_neighbors=10 distance_measure=${metric#*:}" "set_n_training_threads threads=1" \
        "tree num_leaves=20 num_leaves_to_search=1 sample=300" "score_ah dims=2 threshold=0.2" "reorder n=50" \
        "search_batched final=10 pre_reorder=50 leaves=7"'
done
ask "$clients/scann_index.py"
check "ScaNN: rows after the load are unsupported" 'grep -q "is static: one load, then searches" results/library/result.json'
ask "$clients/scann_index.py" --set "options=leafs=3"
check "a misspelt option is an error with the known ones" 'cell "\"leafs=3\\\" is none of leaves=..., search=...\" in cell[\"error\"]"'

# ---- wrappers written for ann-benchmarks, in three shapes
wrapped() { # METRIC FILE CLASS OPTIONS EFFORT [ARGUMENT...]
    rm -f calls
    ask "$clients/ann_wrapper.py $root/tests/cli/fakes/wrappers/$2 $3" --set "metric=$1" --set "options=$4" --set "effort=$5" "${@:6}"
}
for metric in l2 cosine; do
    wrapped $metric graph.py Graph '[{"M": 16}]' 40
    check "a wrapper as hnswlib has, $metric: exact, fitted once for each load" '[ $status = 0 ] && cell "$exact" && called \
        "graph metric=$metric M=16 rows=300 dim=8" "ef ef=40" && [ "$(grep -c ^graph calls)" = 2 ]'
    wrapped $metric trees.py Trees '[7]' 0
    check "a wrapper as Annoy has, $metric: exact" '[ $status = 0 ] && cell "$exact" && grep -qE "^trees metric=(angular|euclidean) n=7 dim=8$" calls'
    wrapped $metric lists.py Lists '{"args": [9], "query_args": [[1, 0], [5, 2]]}' 2
    check "wrappers as FAISS has, $metric: exact in batches" '[ $status = 0 ] && cell "$exact" && called \
        "lists n=9 rows=300" "batch n=10 n_probe=5 k_reorder=2"'
done
wrapped ip graph.py Graph '[{"M": 16}]' 40
check "a metric that ann-benchmarks lacks is unsupported" 'cell "cell[\"status\"] == \"unsupported\" and \"no metric ip\" in cell[\"error\"]"'
wrapped l2 graph.py Nothing '[]' 0
check "a class that is not in the file ends the cell" '[ $status = 1 ] && cell "cell[\"status\"] == \"failed\""'

exit $failed
