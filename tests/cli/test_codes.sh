#!/bin/bash
# test_codes.sh - 64-bit codes from a config: range search, planted neighbours, figures by radius,
# image hashes.
# Needs: schema
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
metric() { # LABEL METRIC: its median, or nothing
    python3 -c 'import json, sys
for s in json.load(open("results/codes/result.json"))["summary"]:
    if s["label"] == sys.argv[1] and s["metric"] == sys.argv[2]: print(s["median"])' "$1" "$2"
}

cat >codes.lua <<'LUA'
local codes = synthetic { kind = "uniform", rows = 3000, clusters = 5, members = 10, radius = 4 }
experiment {
  name = "codes",
  workload = function(w)
    w:insert { codes, tag = "load" }
    for _, radius in ipairs { 0, 4, 24, 64 } do
      w:range { codes:queries(5), radius = radius, planted = 10, tag = "range" }
    end
  end,
  methods = { method { "hamming-scan", label = "scan" }, method { "hftrie", label = "fast", params = { mode = "fast", leaf_capacity = 10 } },
              method { "flat" } },
  paper = { fast = { ["planted_recall/range#2"] = 0.97, ["distances_percent/range#2"] = 0.02 } },
  claims = { { "the scan is exact", function(r) return r("scan", "range_recall/range") == 1 end } },
  figures = {
    { "radius", y = { "mean_ns", "range_recall" }, baseline = "scan", title = "by radius" },
    { "bars", y = "distances_percent", where = { tag = "range" } },
    { "scaling", y = "mean_ns", where = { tag = "range" } },
    { "scaling", y = "range_recall", where = { tag = "range" } },
    { "timeline", y = { "planted_recall", "mean_ns" }, where = { tag = "range" } },
    { "heatmap", x = "leaf_capacity", y = "chunk_bits", group = "mean_ns", where = { label = "fast" } },
  },
}
LUA
run --out results codes.lua
check "a config of codes runs, and its figures are drawn" '[ $status = 0 ] && [ "$(ls results/codes/*.png | wc -l)" = 6 ]'
check "its claim holds" 'grep -q "^holds *the scan is exact" out'
check "what was planted is what radius 4 finds" '[ "$(metric scan planted_recall/range#2)" = 1.0 ]'
check "and at radius 64 everything counts: 305 for each planted code" '[ "$(metric scan planted_recall/range#4)" = 305.0 ]'
check "a scan computes all distances" '[ "$(metric flat distances_percent/range#2)" = 100.0 ]'
check "published beside measured" 'grep -q "planted_recall/range#2  *0.9700 " out'
check "a radius figure's points say which is a crossing" 'head -1 results/codes/01-*.csv | grep -q ",mark,"'
check "with a logarithmic axis for times alone" \
    'grep -q "^Y_SCALE.1. = 1" results/codes/01-*.gp && grep -q "^Y_SCALE.2. = 0" results/codes/01-*.gp'
keeps_to_schema results/codes

sed 's/rows = 3000, clusters = 5/rows = 3000000, clusters = 5000/; s/queries(5)/queries(5000)/; s/{ 0, 4, 24, 64 }/{ 65 }/' codes.lua >wrong.lua
run --out results wrong.lua
check "a radius past 64 is refused in its line" '[ $status = 2 ] && grep -q "wrong.lua:7: w:range: radius = 65 is not a number of differing bits" err'

python3 - <<'PY'
import random, struct
random.seed(1)
def write(name, columns):
    with open(name, "wb") as f:
        f.write(struct.pack("<II", 60, columns))
        f.write(bytes(random.randrange(256) for _ in range(60 * columns)))
write("images.u8bin", 784)
write("four.u8bin", 4)
PY
cat >images.lua <<'LUA'
local images = file "images.u8bin"
local codes = hashes { images:rows(1, 50), kind = option("kind", "dhash") }
experiment {
  name = "images",
  workload = function(w)
    w:insert { codes }
    w:range { hashes { images:rows(41, 60), kind = "dhash" }, radius = 0, tag = "again" }
  end,
  methods = { method { "hamming-scan" } },
}
LUA
run --out results --no-plots images.lua
check "images become codes, and ten of them are found again" \
    '[ $status = 0 ] && grep -q "dhash of images.u8bin" results/images/result.json && grep -q "\"results\": 0.5" results/images/result.json'
run --out results --no-plots --set kind=phash images.lua
check "other hashes are other codes" '[ $status = 0 ] && grep -q "\"results\": 0[,.]*0*,*$" results/images/result.json'
echo 'local codes = file { "four.u8bin", element = "b64" }' >four.lua
run four.lua
check "codes of the wrong width" '[ $status = 2 ] && grep -q "4 columns of u8 are codes of 32 bits; expected a multiple of 64, at most 1024" err'

# ---- codes of more than 64 bits
cat >wide.lua <<'LUA'
local codes = synthetic { kind = "uniform", rows = 2000, clusters = 5, members = 10, radius = 20, bits = option("bits", 256) }
local exact = { "scan", "flat", "trie", "mih" }
experiment {
  name = "wide",
  workload = function(w)
    w:insert { codes, tag = "load" }
    w:range { codes:queries(5), radius = 20, planted = 10, tag = "range" }
    w:search { codes:queries(5), k = 10, tag = "search" }
    w:save {}
    w:reload {}
    w:delete { codes:rows(1, 500) }
    w:range { codes:queries(5), radius = codes.dim, tag = "all" }
  end,
  methods = { method { "hamming-scan", label = "scan" }, method { "flat" },
              method { "hftrie", label = "trie", params = { mode = "standard", leaf_capacity = 10 } },
              method { "mih", params = { tables = 16 } }, method { "mtree" }, method { "hftrie", label = "multi" } },
  claims = { { "all are exact", function(r)
    for _, label in ipairs(exact) do
      if r(label, "range_recall/range") ~= 1 or r(label, "planted_recall/range") ~= 1 or r(label, "recall@10/search") ~= 1
        or r(label, "range_results/all") ~= 1550 or r(label, "range_recall/all") ~= 1 then return false end
    end
    return true
  end } },
}
LUA
run --out results --no-plots wide.lua
check "codes of 256 bits are found by all methods that take them" 'grep -q "^holds *all are exact" out'
check "mtree takes 64 bits, and says who takes more" \
    'grep -q "method .\{1,2\}mtree.\{1,2\} takes codes of 64 bits, not of 256; hamming-scan, mih and hftrie take longer ones" results/wide/result.json'
check "hftrie says which mode takes them" \
    'grep -q "hftrie: mode = multi takes codes of 64 bits, not of 256; use mode = standard" results/wide/result.json'
run --out results --no-plots --set bits=96 wide.lua
check "a length that is no multiple of 64" '[ $status = 2 ] && grep -q "bits = 96, expected a multiple of 64" err'
sed 's/radius = codes.dim/radius = 257/' wide.lua >far.lua
run --out results far.lua
check "a radius past the bits of a code" '[ $status = 2 ] && grep -q "radius = 257 is not a number of differing bits" err'

python3 - <<'PY'
import random, struct
random.seed(2)
with open("wide.u8bin", "wb") as f:
    f.write(struct.pack("<II", 300, 32))
    f.write(bytes(random.randrange(256) for _ in range(300 * 32)))
PY
cat >saved.lua <<'LUA'
experiment {
  name = "saved",
  workload = function(w) w:insert { file { "wide.u8bin", element = "b64" } } end,
  methods = { method { "hftrie", params = { mode = "standard" } } },
}
LUA
run build saved.lua --save saved
check "the bytes of a file are codes of 256 bits" '[ $status = 0 ] && grep -q "256" saved/index.json'
run search saved wide.u8bin --k 1 --out ids.csv
check "a saved index of them finds each by its bytes" '[ $status = 0 ] && seq 0 299 | cmp -s - ids.csv'

# ---- a config that is not there
"$program" check ablation_hftrie >plan 2>err
status=$?
check "a config that is not there" '[ $status = 2 ] && grep -q "ablation_hftrie: no such file" err'
"$program" run configs/hftrie/scalin.lua >plan 2>err
status=$?
check "a misspelt config" '[ $status = 2 ] && grep -q "did you mean configs/hftrie/scaling.lua?" err'

exit $failed
