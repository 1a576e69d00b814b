-- vamana_disk_turnover.lua - The recall of our DiskANN index on disk while every row is replaced, compared with an
-- index built of the rows that are left.
--
-- Twenty steps each replace a twentieth of the rows. Streaming merges bring them to disk when they are a tenth of the
-- rows there, and at the end. Links that merges lose show as recall at one search_list below that of `rebuilt`, which
-- loads all rows anew at the last step.

local sift = dataset "photo-sift"
local rows = option("rows", quick and 4000 or 20000, "held at a time; twice as many are used")
local degree = option("degree", 32, "neighbours of a row at most")
local groups = option("groups", 32, "bytes of a row's code in memory")
local steps = 20

local lists = { 10, 16, 32, 64 }
local function vamana(t)
  t[1], t.element, t.sweep = "vamana-disk", "f32", { search_list = lists }
  t.params = { degree = degree, pq_groups = groups }
  return method(t)
end
local function slice(first, step) return sift:rows(first + (step - 1) * rows // steps + 1, first + step * rows // steps) end

experiment {
  name = "vamana_disk_turnover",
  title = "Every row replaced in an index on disk",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:insert { sift:rows(1, rows), tag = "load" }
    for step = 1, steps do
      w:delete { slice(0, step), tag = "leave" }
      w:insert { slice(rows, step), tag = step < steps and "come" or "last" }
    end
    w:maintain { tag = "merge" }
    w:search { sift:queries(1000), tag = "after" }
  end,

  methods = {
    vamana { label = "vamana-disk" },
    vamana { label = "rebuilt", rebuild = "last" },
  },

  claims = {
    { "recall after turnover is within a point of a rebuilt index's at search_list 32 and 64", function(r)
      for _, list in ipairs { 32, 64 } do
        local point = ("[search_list=%d]"):format(list)
        if r("vamana-disk" .. point, "recall@10/after") < r("rebuilt" .. point, "recall@10/after") - 0.01 then return false end
      end
      return true
    end },
  },

  figures = {
    { "pareto", x = "bytes_read", y = "recall@10", where = { tag = "after" }, title = "After every row was replaced" },
  },
}
