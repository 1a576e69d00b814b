#!/bin/bash
# test_baseline_configs.sh - the baselines from a config: factory strings with their knobs, every
# policy for deletes, filters.
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
local function faiss(label, factory, sweep, deletes)
  return method { "faiss-factory", label = label, params = { factory = factory }, sweep = sweep, deletes = deletes }
end
local fast_scan = { nprobe = { 4, 16 }, k_factor_rf = { 4, 16 } }
local policies = { "native", "filter", "rebuild", "replace" }
local methods = {
  faiss("ivf-pq", "IVF16,PQ8np", { nprobe = { 4, 16 } }),
  faiss("opq", "OPQ4_16,IVF16,PQ4np", { nprobe = { 4, 16 } }),
  faiss("fast native", "IVF16,PQ16x4fs,RFlat", fast_scan),
  faiss("fast filter", "IVF16,PQ16x4fs,RFlat", fast_scan, "filter"),
  faiss("fast rebuild", "IVF16,PQ16x4fs,RFlat", fast_scan, "rebuild"),
  faiss("hnsw filter", "HNSW16,Flat", { ef_search = { 16, 100 } }, "filter"),
}
for _, policy in ipairs(policies) do
  methods[#methods + 1] = method { "hnswlib", label = "hnswlib " .. policy, deletes = policy ~= "native" and policy or nil,
                                   sweep = { ef_search = { 16, 200 } } }
  if policy ~= "replace" then
    methods[#methods + 1] = method { "usearch", label = "usearch " .. policy, deletes = policy ~= "native" and policy or nil,
                                     sweep = { expansion_search = { 16, 200 } } }
  end
end

experiment {
  name = "baselines", k = 10,
  workload = function(w)
    w:train { data:rows(1, 2000) }
    w:insert { data:rows(1, 2000), tag = "load" }
    w:search { data:queries(60), tag = "full" }
    for share = 1, 3 do
      w:search { data:queries(60), filter = { fraction = 1 / 10 ^ share * 3 }, tag = "filter" }
    end
    w:delete { random = 500, tag = "leave" }
    w:insert { data:rows(2001, 2600), tag = "come" }
    w:search { data:queries(60), tag = "after" }
  end,
  methods = methods,
  claims = (function()
    local claims = {}
    local function claim(what, holds) claims[#claims + 1] = { what, holds } end
    for _, l in ipairs { "ivf-pq", "opq" } do
      claim(l .. " probes more, finds more", function(r)
        return r(l .. "[nprobe=16]", "recall@10/full") > r(l .. "[nprobe=4]", "recall@10/full")
               and r(l .. "[nprobe=16]", "wrong_ids/after") == 0 and r(l .. "[nprobe=16]", "recall@10/after") > .2
      end)
    end
    for _, l in ipairs { "fast filter", "fast rebuild" } do
      claim(l .. " answers with live rows after deletions", function(r)
        local best = l .. "[k_factor_rf=16,nprobe=16]"
        return r(best, "wrong_ids/after") == 0 and r(best, "recall@10/after") > .9
               and r(best, "recall@10/full") > r(l .. "[k_factor_rf=4,nprobe=4]", "recall@10/full")
      end)
    end
    claim("fast native cannot delete, so the dead are among its answers", function(r)
      return r("fast native[k_factor_rf=16,nprobe=16]", "wrong_ids/after") > 0
    end)
    for _, l in ipairs { "hnsw filter[ef_search=100]", "hnswlib native[ef_search=200]", "hnswlib filter[ef_search=200]",
                         "hnswlib rebuild[ef_search=200]", "hnswlib replace[ef_search=200]",
                         "usearch native[expansion_search=200]", "usearch filter[expansion_search=200]",
                         "usearch rebuild[expansion_search=200]" } do
      claim(l .. " is right after deletions", function(r)
        return r(l, "wrong_ids/after") == 0 and r(l, "recall@10/after") > .9
      end)
    end
    for _, l in ipairs { "hnswlib native[ef_search=200]", "usearch native[expansion_search=200]" } do
      claim(l .. " is right under filters of 30, 3 and .3 %", function(r)
        return r(l, "wrong_ids/filter") == 0 and r(l, "recall@10/filter#1") > .9 and r(l, "recall@10/filter#2") > .9
               and r(l, "recall@10/filter#3") > .9
      end)
    end
    claim("hnswlib replaces in place, and marks pile up without", function(r)
      return r("hnswlib replace[ef_search=200]", "index_bytes/come") <= r("hnswlib native[ef_search=200]", "index_bytes/come")
    end)
    return claims
  end)(),
}
LUA
run --out results --no-plots baselines.lua
check "a config of baselines runs" '[ $status = 0 ] && [ "$(grep -c "^holds" out)" = 16 ] && ! grep -q "^does not hold" out'
check "fast-scan's missing removal is a step that says so" \
    'python3 - results/baselines/result.json <<PY
import json, sys
result = json.load(open(sys.argv[1]))
steps = [s for c in result["cells"] if c["label"].startswith("fast native") for s in c["steps"] if s.get("tag") == "leave"]
sys.exit(0 if steps and all(s["status"] == "unsupported" and "x4fs" in json.dumps(s) for s in steps) else 1)
PY'
check "over-fetching where there is no filter is told" 'grep -q "no filter in this method" results/baselines/result.json'

cat >wrong.lua <<'LUA'
local data = synthetic { kind = "gaussian", rows = 100, dim = 8 }
experiment {
  name = "wrong", workload = function(w) w:insert { data } w:search { data:queries(5) } end,
  methods = { method { "usearch", deletes = "replace" } },
}
LUA
run check wrong.lua
check "a policy that a method has not is refused in its line" '[ $status = 2 ] && grep -q "wrong.lua:4:" err'
sed -i 's/deletes = "replace"/params = { scalar = "i8" }/' wrong.lua
run --out results --no-plots wrong.lua
check "usearch's i8 under L2 is refused with the reason" '[ $status = 1 ] && grep -q "i8 makes every row a unit vector" out err results/wrong/result.json'

# The new queries that the harness asks to see whether answers are remembered are bytes, too.
python3 -c 'import random, struct, sys
random.seed(4)
sys.stdout.buffer.write(struct.pack("<ii", 500, 16) + bytes(random.randrange(256) for _ in range(500 * 16)))' >bytes.u8bin
cat >bytes.lua <<'LUA'
local data = file "bytes.u8bin"
experiment {
  name = "bytes", k = 10,
  workload = function(w)
    w:insert { data }
    w:search { data:rows(1, 60) }
  end,
  methods = { method { "usearch", params = { scalar = "u8" } } },
}
LUA
run --out results --no-plots bytes.lua
check "usearch's rows as bytes are searched" '[ $status = 0 ]'
exit $failed
