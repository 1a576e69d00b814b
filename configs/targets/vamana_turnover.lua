-- vamana_turnover.lua - The recall of our Vamana while every row is replaced, with lazy deletes and with deletes in
-- place, compared with a fresh graph and with our HNSW.
--
-- Twenty steps each replace a twentieth of the rows. Deleted rows of `vamana` are consolidated when they are a tenth of
-- the graph, and at the end; those of `in place` leave the graph at once. Edges that deletes lose show as recall at one
-- search_list below that of `rebuilt`, which links all rows anew at the last step.

local sift = dataset "photo-sift"
local rows = option("rows", quick and 4000 or 20000, "held at a time; twice as many are used")
local degree = option("degree", 32, "neighbours of a row at most")
local steps = 20

local lists = { 10, 16, 32, 64 }
local function vamana(t)
  t[1], t.element, t.sweep = "vamana", "f32", { search_list = lists }
  t.params = t.params or { degree = degree }
  return method(t)
end
local function slice(first, step) return sift:rows(first + (step - 1) * rows // steps + 1, first + step * rows // steps) end

experiment {
  name = "vamana_turnover",
  title = "Every row replaced in a Vamana",
  seed = 1, k = 10, threads = 1,

  workload = function(w)
    w:insert { sift:rows(1, rows), tag = "load" }
    for step = 1, steps do
      w:delete { slice(0, step), tag = "leave" }
      w:insert { slice(rows, step), tag = step < steps and "come" or "last" }
    end
    w:maintain {}
    w:search { sift:queries(1000), tag = "after" }
  end,

  methods = {
    vamana { label = "vamana" },
    vamana { label = "in place", params = { degree = degree, deletes = "in-place" } },
    vamana { label = "rebuilt", rebuild = "last" },
    method { "hnsw", element = "f32", sweep = { ef_search = lists } },
  },

  claims = {
    { "recall after turnover is within a point of a rebuilt graph's, at every search_list", function(r)
      for _, list in ipairs(lists) do
        local point = ("[search_list=%d]"):format(list)
        local least = r("rebuilt" .. point, "recall@10/after") - 0.01
        for _, label in ipairs { "vamana", "in place" } do
          if r(label .. point, "recall@10/after") < least then return false end
        end
      end
      return true
    end },
  },

  figures = {
    { "pareto", x = "distances", y = "recall@10", where = { tag = "after" }, title = "After every row was replaced" },
  },
}
