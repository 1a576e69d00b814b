-- released.lua - Our SPANN beside the released one, on the same rows, in one run: recall, latency, pages and distances.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another.
--
-- The released code is SPTAG of March 2023 as Debian 12 compiles it (generic amd64; it chooses AVX-512 or AVX2 when it
-- starts). It runs in a process of its own, so the overhead of a call is in its latencies; stats.call_overhead_ns has
-- it. It reads postings with O_DIRECT, as ours does here. Both store floats. bytes_read / 4096 is the number of pages.
--
--   ./harness run --allow-programs --set sptag=$(src/build/baseline-sptag.sh) configs/spfresh/released.lua
local spfresh = require "spfresh"
local sift    = require("datasets").open "photo-sift"
local rows    = option("rows", quick and 5000 or 20000, "descriptors")
local sptag   = option("sptag", "", "the folder that src/build/baseline-sptag.sh prints; without it, ours alone")
local ours, theirs = "SPANN", "SPANN, released"

local methods = {
  method { "spann", label = ours, element = "f32", params = spfresh.with(spfresh.as_released, { store = "file", direct = true }),
           sweep = { nprobe = { 16, 32, 64 } } },
}
if sptag ~= "" then
  methods[2] = method { "external", label = theirs, sweep = { effort = { 16, 32, 64 } }, params = {
    command = "/usr/bin/python3 configs/examples/external/sptag_spann.py",
    options = sptag .. " Ratio=0.12 ReplicaCount=8 PostingPageLimit=4 SearchPostingPageLimit=4",
  } }
end

experiment {
  name = "released",
  title = "Our SPANN and the released one",
  publication = "SPANN and SPFresh",
  seed = 1, k = 10,
  workload = function(w)
    w:train  { sift:rows(1, rows), tag = "train" }
    w:insert { sift:rows(1, rows), tag = "load" }
    w:search { sift:queries(quick and 100 or 500), tag = "full" }
  end,
  methods = methods,
}
