#!/bin/bash
# test_baseline_configs.sh - the baselines from a config: factory strings with their knobs, policies for deletes, rows as bytes. What the
# policies do is tested in tests/unit/run.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
export OMP_WAIT_POLICY=passive

"$program" list methods >out
for method in faiss-factory hnswlib usearch; do
    grep -q "^$method " out && continue
    echo "skipped: built without $method"
    exit 0
done

cat >baselines.lua <<'LUA'
local data = synthetic { kind = "mixture", rows = 2600, dim = 32, clusters = 300, spread = 1, seed = 4 }
local function fast(label, deletes)
  return method { "faiss-factory", label = label, params = { factory = "IVF16,PQ16x4fs,RFlat" },
                  sweep = { nprobe = { 4, 16 }, k_factor_rf = { 4, 16 } }, deletes = deletes }
end
experiment {
  name = "baselines", k = 10,
  workload = function(w)
    w:train { data:rows(1, 2000) }
    w:insert { data:rows(1, 2000), tag = "load" }
    w:search { data:queries(60), tag = "full" }
    w:search { data:queries(60), filter = { fraction = .03 }, tag = "filter" }
    w:delete { random = 500, tag = "leave" }
    w:insert { data:rows(2001, 2600), tag = "come" }
    w:search { data:queries(60), tag = "after" }
  end,
  methods = {
    fast("native"), fast("filter", "filter"),
    method { "hnswlib", label = "marks", knobs = { ef_search = 200 } },
    method { "hnswlib", label = "replaces", deletes = "replace", knobs = { ef_search = 200 } },
    method { "usearch", knobs = { expansion_search = 200 } },
  },
  claims = {
    { "more probes and a longer list find more", function(r)
      return r("filter[k_factor_rf=16,nprobe=16]", "recall@10/full") > r("filter[k_factor_rf=4,nprobe=4]", "recall@10/full")
    end },
    { "fast scan cannot delete, so the dead are among its answers", function(r)
      return r("native[k_factor_rf=16,nprobe=16]", "wrong_ids/after") > 0
    end },
    { "the others are right after deletions and under a filter", function(r)
      for _, l in ipairs { "filter[k_factor_rf=16,nprobe=16]", "marks", "replaces", "usearch" } do
        if r(l, "wrong_ids/after") > 0 or r(l, "recall@10/after") < .9 then return false end
      end
      return r("marks", "recall@10/filter") > .9 and r("usearch", "recall@10/filter") > .9
    end },
    { "hnswlib replaces in place, and marks pile up without", function(r)
      return r("replaces", "stats.deleted_count/come") < r("marks", "stats.deleted_count/come")
    end },
  },
}
LUA
run --out results --no-plots baselines.lua
check "a config of baselines runs" '[ $status = 0 ] && [ "$(grep -c "^holds" out)" = 4 ]'
check "fast-scan's missing removal is a step that says so" \
    'python3 - results/baselines/result.json <<PY
import json, sys
result = json.load(open(sys.argv[1]))
steps = [s for c in result["cells"] if c["label"].startswith("native") for s in c["steps"] if s.get("tag") == "leave"]
sys.exit(0 if steps and all(s["status"] == "unsupported" and "x4fs" in json.dumps(s) for s in steps) else 1)
PY'
check "over-fetching where there is no filter is told" 'grep -q "no filter in this method" results/baselines/result.json'

# The new queries that the harness asks to see whether answers are remembered are bytes, too.
python3 -c 'import random, struct, sys
random.seed(4)
sys.stdout.buffer.write(struct.pack("<ii", 500, 16) + bytes(random.randrange(256) for _ in range(500 * 16)))' >bytes.u8bin
cat >bytes.lua <<'LUA'
local data = file "bytes.u8bin"
experiment {
  name = "bytes", k = 10,
  workload = function(w) w:insert { data } w:search { data:rows(1, 60) } end,
  methods = { method { "usearch", params = { scalar = option("scalar", "u8") } } },
}
LUA
run --out results --no-plots bytes.lua
check "usearch's rows as bytes are searched" '[ $status = 0 ]'
run --out results --no-plots --set scalar=i8 bytes.lua
check "usearch's i8 under L2 is refused with the reason" '[ $status = 1 ] && grep -q "i8 makes every row a unit vector" out err results/bytes/result.json'
exit $failed
