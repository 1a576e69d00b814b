-- hnsw_turnover.lua - The recall of our HNSW while every row is replaced, compared with a fresh graph and with
-- hnswlib's two ways to delete.
--
-- Twenty steps each replace a twentieth of the rows. Edges that removals lose show as recall at one ef_search below
-- that of `rebuilt`, which links all rows anew at the last step. A run takes a minute or two.

local sift = dataset "photo-sift"
local rows = option("rows", quick and 4000 or 20000, "held at a time; twice as many are used")
local steps = 20

local sweep = { ef_search = { 16, 32, 64 } }
local function graph(t)
  t.element, t.sweep = "f32", sweep
  return method(t)
end
local function slice(first, step) return sift:rows(first + (step - 1) * rows // steps + 1, first + step * rows // steps) end

experiment {
  name = "hnsw_turnover",
  title = "Every row replaced",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:insert { sift:rows(1, rows), tag = "load" }
    for step = 1, steps do
      w:delete { slice(0, step), tag = "leave" }
      w:insert { slice(rows, step), tag = step < steps and "come" or "last" }
    end
    w:search { sift:queries(1000), tag = "after" }
  end,

  methods = {
    graph { "hnsw" },
    graph { "hnsw", label = "rebuilt", rebuild = "last" },
    graph { "hnswlib", label = "hnswlib mark", params = { deletes = "mark" } },
    graph { "hnswlib", label = "hnswlib replace", params = { deletes = "replace" } },
  },

  claims = {
    { "recall after turnover is within a point of a rebuilt graph's, at every ef_search", function(r)
      for _, ef in ipairs(sweep.ef_search) do
        local point = ("[ef_search=%d]"):format(ef)
        if r("hnsw" .. point, "recall@10/after") < r("rebuilt" .. point, "recall@10/after") - 0.01 then return false end
      end
      return true
    end },
  },

  figures = {
    { "pareto", x = "distances", y = "recall@10", where = { tag = "after" }, title = "After every row was replaced" },
  },
}
