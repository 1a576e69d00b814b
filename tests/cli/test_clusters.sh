#!/bin/bash
# test_clusters.sh - w:cluster: its answers, its scores in the result, what is refused.
# Needs: schema
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program

cp -r "$root/configs/examples/data" .
cat >both.lua <<'EOF'
local stations = file { "data/stations.csv", label = "data/stations_year.txt", id = 1, header = true, metric = "cosine" }
experiment {
  name = "both", k = 5,
  workload = function(w)
    w:train { stations:rows(1, 360) }
    w:insert { stations:rows(1, 300) }
    w:delete { oldest = 50 }
    w:maintain {}
    w:cluster { target_k = 4, labels = "label", queries = stations:rows(361, 400), tag = "four" }
    w:cluster { level = 99, tag = "last" }
    w:search { stations:rows(361, 400), clusters = true, tag = "answers" }
  end,
  methods = { method { "asteria", params = { leaf_cap = 40, train_steps = 50 } }, method { "divf", params = { clusters = 8 } },
              method { "divf", label = "kept", params = { clusters = 8 }, deletes = "filter" }, method { "flat" } },
  claims = {
    { "labels give agreement", function(r) return r("divf", "nmi/four") > 0 and r("divf", "purity/four") >= .2 end },
    { "a deleted row is in no cluster, also where the index keeps it", function(r) return r("kept", "largest_cluster/four") < 250 end },
  },
}
EOF

run run --no-plots --out r both.lua
check "it runs, and the claims hold" '[ $status = 0 ] && [ "$(grep -c "^holds" out)" = 2 ]'
run dump r/both
check "each live row is in one cluster, the medoid is one of its rows, and answers have their clusters" 'python3 - "$root/results/schema.json" <<PY
import collections, json, jsonschema, sys
result = json.load(open("r/both/result.json"))
jsonschema.Draft7Validator(json.load(open(sys.argv[1]))).validate(result)
rows = collections.defaultdict(lambda: collections.defaultdict(list))
clusters = collections.defaultdict(lambda: collections.defaultdict(set))
for line in open("out"):
    label, repeat, op, tag, cluster, rank, id, of = line.rstrip("\n").split("\t")
    assert bool(of) == (tag == "answers") or rank == "rank", line
    if tag == "answers":
        clusters[label][cluster].add(of)
    if rank != "rank":
        assert int(rank) == len(rows[label, tag][cluster]) + 1
        rows[label, tag][cluster].append(int(id))
for label in "asteria", "divf", "kept":
    for tag in "four", "last":
        assert sorted(i for c in rows[label, tag].values() for i in c) == list(range(50, 300)), (label, tag)
for cell in result["cells"]:
    four, last = (s for s in cell["steps"] if s["op"] == "cluster")
    if cell["label"] == "flat":
        assert four["status"] == "unsupported" and "clusters" not in four
        answers = next(s for s in cell["steps"] if s["tag"] == "answers")
        assert answers["status"] == "unsupported" and "no clusters" in answers["note"] and answers["recall"] is None
        continue
    sizes = [len(c) for c in rows[cell["label"], "four"].values()]
    got = four["clusters"]
    assert (got["count"], got["smallest"], got["largest"]) == (len(sizes), min(sizes), max(sizes)), got
    assert 0 <= got["query_agreement"] <= 1 and 0 <= got["within"] <= 1 and got["noise"] == 0
    assert last["clusters"]["nmi"] is None and last["clusters"]["query_agreement"] is None
    assert four["seconds"] > 0 and four["count"] == 290
    answers = next(s for s in cell["steps"] if s["tag"] == "answers")
    assert 0 <= answers["stats"]["answers_in_query_cluster"] <= 1 <= answers["stats"]["clusters_per_query"] <= 5
    mean = sum(map(len, clusters[cell["label"]].values())) / len(clusters[cell["label"]])
    assert abs(answers["stats"]["clusters_per_query"] - mean) < 1e-9, (answers["stats"], mean)
    if cell["label"] == "asteria":
        assert last["clusters"]["count"] == 1 and last["clusters"]["within"] == 1
        assert last["stats"]["cluster_level"] == last["stats"]["cluster_levels"] - 1
PY'

refused() { # NAME STEP MESSAGE: a config with this step is refused with the message
    sed "s/^    w:maintain {}/    $2/" both.lua >wrong.lua
    run check wrong.lua
    check "$1" '[ $status = 2 ] && grep -q "wrong.lua:8: .*'"$3"'" err'
}
refused "level and target_k exclude each other" 'w:cluster { level = 1, target_k = 3 }' 'level and target_k are both given'
refused "rows need labels" 'w:cluster { labels = "colour" }' 'row 51 is of .*stations.csv, which has no part .colour.'
refused "a word that is not there" 'w:cluster { k = 3 }' 'unknown key .k.'
refused "not inside a transaction" 'w:begin {} w:cluster {} w:commit {}' 'not allowed inside the transaction'
refused "nor the clusters of answers" 'w:begin {} w:search { stations:rows(361, 365), clusters = true } w:commit {}' 'outside transactions'

exit $failed
