-- A stream: the function returns one view after another and nil at the end. Each view is a call of the method, so the
-- latency of chunks is recorded. w:insert returns the first and the last id, here to delete what a chunk inserted.
local data = synthetic { kind = "mixture", rows = 10000, dim = 32, clusters = 100 }

experiment {
  name = "stream",
  title = "Rows that arrive in chunks",
  k = 10,

  workload = function(w)
    w:insert { data:rows(1, 4000), tag = "load" }
    local first, last = w:insert { tag = "stream", stream = function(i)
      local from = 4001 + 500 * (i - 1)
      if from <= 9000 then return data:rows(from, from + 499) end
    end }
    w:search { data:queries(200), tag = "after the stream" }

    local ids = {}
    for id = first, last, 2 do ids[#ids + 1] = id end
    w:delete { ids = ids, tag = "every other row" }
    w:search { data:queries(200), tag = "after the deletion" }

    local done = false
    w:insert { tag = "chunks of 100", batch = 100, stream = function()
      if done then return nil end
      done = true
      return data:rows(9001, 10000)
    end }
  end,

  methods = {
    method { "divf", knobs = { nprobe = 8 } },
    method { "hnsw", sweep = { ef_search = { 20, 80 } } },
  },
}
