-- scaling.lua - shards on 1, 2, 4 and 8 processes of one machine, and their method without shards: what
-- `./harness simulate` predicts from and is compared with (docs/simulate.md).
--
-- The index grows from a 64th of the rows, which is the smallest shard, to all of them, and is searched at each size.
-- So the method alone shows the cost of a shard by its rows; the last tag is strong scaling; eighth, quarter, half and
-- all on 1, 2, 4 and 8 ranks are weak scaling. `--set data=photo-sift` uses descriptors of photographs.

local rows    = option("rows", quick and 8000 or 80000, "vectors at the end")
local queries = option("queries", quick and 400 or 16000, "half of them singly, half as one batch")
local name    = option("data", "synthetic", "synthetic, or a data set of the catalog")
local set     = name == "synthetic" and synthetic { kind = "mixture", rows = rows, dim = 64, clusters = 100 } or dataset(name)
local data, asked = set:rows(1, rows), set:queries(queries)

local function of(method_name, params, sweep)
  local list = { method { method_name, params = params, sweep = sweep } }
  for _, ranks in ipairs { 1, 2, 4, 8 } do
    local p = { of = method_name, shards = ranks, ranks = ranks }
    for key, value in pairs(params) do p[key] = value end
    list[#list + 1] = method { "sharded", label = ("%s, %d rank%s"):format(method_name, ranks, ranks > 1 and "s" or ""),
      params = p, sweep = sweep }
  end
  return list
end

local methods = of("flat", {})
for _, m in ipairs(of("divf", { clusters = 64 }, { nprobe = { 4, 16 } })) do methods[#methods + 1] = m end

experiment {
  name = "cluster_scaling",
  title = "Shards on 1 to 8 ranks of one machine",
  seed = 1, repeats = 2, k = 10, threads = 1,

  workload = function(w)
    w:train { data:rows(1, rows // 8) }
    local done = 0
    for _, part in ipairs { { 64, "64th" }, { 16, "16th" }, { 8, "eighth" }, { 4, "quarter" }, { 2, "half" },
                            { 1, "all" } } do
      local upto = rows // part[1]
      w:insert { data:rows(done + 1, upto), tag = "load " .. part[2] }
      w:search { asked, tag = part[2] }
      done = upto
    end
  end,

  methods = methods,

  figures = {
    { "scaling", y = "qps", title = "Queries per second of a batch by rows" },
    { "bars", y = { "qps", "p50_ns" }, where = { tag = "all" }, title = "All rows" },
  },

  claims = {
    { "(ours) exact shards find all neighbours", function(r)
        return r("flat, 8 ranks", "recall@10/all") == 1 and r("flat, 8 ranks", "recall@10/eighth") == 1 end },
  },
}
