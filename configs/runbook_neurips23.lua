-- The final runbook of the NeurIPS'23 streaming track (big-ann-benchmarks), rescaled onto photo-sift: 1280 operations that
-- bring, take away and ask for clusters of points, an insertion and a search in turn, with deletions of whole clusters.
--
-- Its 30 million ids are mapped onto the first rows of photo-sift in proportion. The runbook's data were sorted by cluster, and
-- photo-sift lists its descriptors photograph by photograph, so that a range of ids is a cluster of like vectors here too. The
-- track's baseline, DiskANN, had a mean recall of .722 on it, the best entry .912, each on its own hardware under limits of
-- time and memory: not a table to regenerate, but the workload the dynamic IVF source should have shown.
--
-- Lists are trained on the first twentieth of the rows, as by a system that goes live early. Mean recall over all
-- searches, as the track tells it, hides when it is lost: the timeline shows it.
local sift  = dataset "photo-sift"
local rows  = option("rows", quick and 40000 or 60000, "rows of photo-sift the runbook is mapped onto")
local lists = option("lists", quick and 128 or 256, "clusters of every inverted file")
local base  = sift:rows(1, rows)
-- A shorter runbook of the same track under --quick.
local book, part = "neurips23/final_runbook", "msturing-30M-clustered"
if quick then book, part = "neurips23/delete_runbook", "msturing-10M-clustered" end

local probes = quick and { 2, 8, 32 } or { 8, 32, 96 }
local addonly, hnsw = "FAISS IVF add-only", "hnswlib"
local fixed, source, lire = "dynamic IVF, no upkeep", "dynamic IVF, source's splits", "dynamic IVF, lire"

local function ivf(method_name, label, params)
  params.clusters = lists
  return method { method_name, label = label, params = params, sweep = { nprobe = probes } }
end
local function at8(label) return label .. "[nprobe=8]" end

experiment {
  name = "runbook_neurips23",
  title = "The NeurIPS'23 streaming track's final runbook, rescaled",
  publication = "Copenhagen 0.1.0",
  seed = 1, repeats = 1, k = 10, threads = 1,

  workload = function(w)
    w:train { base:rows(1, rows // 20) }
    w:runbook { book, base, queries = sift:queries(quick and 20 or 30), dataset = part }
  end,

  methods = {
    ivf("faiss-ivf-flat", addonly, {}),
    method { "hnswlib", label = hnsw, params = { M = 16, ef_construction = 100 }, sweep = { ef_search = { 32 } } },
    ivf("divf", fixed, { maintenance = "none" }),
    ivf("divf", source, { split_threshold = 3 }),
    ivf("divf", lire, { maintenance = "lire" }),
  },

  claims = {
    { "(ours) the source's splits lose recall at a fixed nprobe: more lists, no more of them searched", function(r)
      return r(at8(source), "recall@10/search") < r(at8(fixed), "recall@10/search")
    end },
    { "(ours) the source's splits scan less than frozen lists at a fixed nprobe", function(r) return r(at8(source), "scanned/search") < r(at8(fixed), "scanned/search") end },
    { "(ours) for a mean recall of .9, lire scans less than frozen lists", function(r)
      return r(lire, "scanned@recall=0.9/search") < r(fixed, "scanned@recall=0.9/search")
    end },
    { "(ours) nothing deleted is ever answered", function(r)
      return r(at8(addonly), "wrong_ids/search") == 0 and r(at8(source), "wrong_ids/search") == 0
        and r(hnsw .. "[ef_search=32]", "wrong_ids/search") == 0
    end },
    { "(ours) all insertions and deletions take dynamic IVF a twentieth of hnswlib's time, or less", function(r)
      return r(at8(source), "seconds/insert") <= r(hnsw .. "[ef_search=32]", "seconds/insert") / 20
    end },
  },

  figures = {
    { "timeline", y = { "recall@10", "scanned" }, where = { tag = "search", point = { "nprobe=32", "ef_search=32" } },
      title = "Over all searches, at nprobe 32" },
    { "bars", y = "scanned@recall=0.9", where = { tag = "search" }, title = "Copies scanned for a mean recall of .9" },
    { "pareto", x = "scanned", y = "recall@10", where = { tag = "search" }, title = "Mean recall and work" },
    { "pareto", x = "single_qps", y = "recall@10", where = { tag = "search" }, title = "Mean recall and throughput" },
    { "bars", y = "seconds", where = { tag = { "insert", "delete" } }, title = "An insertion, a deletion: mean of all" },
  },
}
