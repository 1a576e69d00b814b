-- codes.lua - 64-bit codes compared by the processor and by a GPU, on the same work: the scan, and hftrie, which leaves to
-- the device the queries that its tables do not answer faster than a scan. The answers are the same.

local n = option("n", quick and 50000 or 4000000, "codes")
local queries = option("queries", quick and 100 or 1000, "of each search")
local codes = synthetic { kind = "uniform", rows = n, clusters = queries, members = 10, radius = 10 }

local function variants(name)
  return method { name, label = name .. ", cpu" }, method { name, label = name .. ", cuda", params = { device = "cuda" } }
end
local scan_cpu, scan_cuda = variants "hamming-scan"
local trie_cpu, trie_cuda = variants "hftrie"

local function same(r, metric)
  return r("hamming-scan, cuda", metric) == 1 and r("hftrie, cuda", metric) == 1
end

experiment {
  name = "gpu_codes",
  title = "64-bit codes: scans by the processor and by a GPU",
  seed = 1, repeats = 3, k = 10, threads = 1,

  workload = function(w)
    w:insert { codes, tag = "load" }
    w:search { codes:queries(queries), tag = "nearest" }
    w:range { codes:queries(queries), radius = 12, tag = "near" }
    w:range { codes:queries(queries), radius = 18, tag = "far" }
  end,

  methods = { scan_cpu, scan_cuda, trie_cpu, trie_cuda },

  claims = {
    { "(ours) the answers do not depend on the device", function(r)
      return same(r, "range_recall/near") and same(r, "range_recall/far") and same(r, "recall@10/nearest")
    end },
    { "(ours) the scan is faster on the device", function(r)
      return r("hamming-scan, cuda", "qps/nearest") > r("hamming-scan, cpu", "qps/nearest")
    end },
    { "(ours) on the device, hftrie is not slower than the scan", function(r)
      return r("hftrie, cuda", "qps/nearest") >= r("hamming-scan, cuda", "qps/nearest")
    end },
  },
}
