-- When an index is maintained, or built again: at each so many steps, at a share of deletions, or when the recall of a
-- probe falls.
--
-- Data: synthetic, in time order: clusters move, appear and vanish.
--
-- usearch loses some of its recall as it changes. A probe compares 50 queries with a scan of all
-- rows. "new" is built again at every step, and spared the changes between; the figure shows how far the others differ from it.

local rows  = option("rows", quick and 1000 or 5000, "held at a time")
local data  = synthetic { kind = "drift", rows = 2 * rows, dim = 32 }
local batch = rows // 10

local knobs = { expansion_search = 16 }

experiment {
  title = "When to build an index again",
  workload = function(w)
    w:insert { data:rows(1, rows), tag = "load" }
    w:maintain {}
    w:search { data:queries(50, { at = 0.5 }), tag = "probe" }
    for round = 1, 10 do
      w:delete { oldest = batch, tag = "leave" }
      w:insert { data:rows(rows + (round - 1) * batch + 1, rows + round * batch), tag = "come" }
      w:maintain {}
      w:search { data:queries(200, { at = 0.5 + 0.05 * round }), tag = "queries" }
    end
  end,
  methods = {
    method { "usearch", label = "never", knobs = knobs, maintain = { tag = "maintain", by = "rebuild", every = 1000 } },
    method { "usearch", label = "third", knobs = knobs, maintain = { tag = "maintain", by = "rebuild", every = 3 } },
    method { "usearch", label = "half", knobs = knobs, maintain = { tag = "maintain", by = "rebuild", deleted = 0.5 } },
    method { "usearch", label = "probed", knobs = knobs, maintain = { tag = "maintain", by = "rebuild", recall = 0.985, probe = "probe", sample = 1 } },
    method { "usearch", label = "never, new", knobs = knobs, maintain = { tag = "maintain", by = "rebuild", changes = false } },
  },
  figures = {
    { "timeline", y = "recall@10", where = { tag = "queries" } },
    { "timeline", y = { "recall@10", "distances" }, minus = ", new", where = { tag = "queries", label = { "never", "never, new" } }, title = "Less those of an index built anew" },
  },
}
