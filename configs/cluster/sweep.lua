-- sweep.lua - a sweep over parameters of dynamic IVF, small and without a download: the example of docs/cluster.md.
-- `mpirun -n 4 ./harness run --mpi configs/cluster/sweep.lua` measures its cells on four processes.

local rows = option("rows", quick and 2000 or 50000, "vectors")
local data = synthetic { kind = "mixture", rows = rows, dim = 64, clusters = 100 }

local methods = { method { "flat" } }
for _, clusters in ipairs { 32, 128, 512 } do
  for _, soft_k in ipairs { 1, 2 } do
    methods[#methods + 1] = method { "divf", label = ("%d lists, soft_k %d"):format(clusters, soft_k),
      params = { clusters = clusters, soft_k = soft_k }, sweep = { nprobe = { 1, 2, 4, 8 } } }
  end
end

experiment {
  name = "cluster_sweep",
  title = "Lists and copies of dynamic IVF",
  seed = 1, repeats = 3, k = 10, threads = 1,

  workload = function(w)
    w:train  { data:rows(1, math.min(rows, 10000)) }
    w:insert { data, tag = "load" }
    w:search { data:queries(quick and 50 or 500), tag = "ask" }
  end,

  methods = methods,

  figures = { { "pareto", where = { tag = "ask" }, title = "Recall and queries per second" } },

  claims = {
    { "(ours) the exact scan finds all", function(r) return r("flat", "recall@10/ask") == 1 end },
  },
}
