-- Searches with another k, with repeated queries, and from a cold page cache.
local data = synthetic { kind = "mixture", rows = 4000, dim = 32 }

experiment {
  name = "search",
  title = "Ways to search",
  k = 10,

  workload = function(w)
    w:train { data }
    w:insert { data, tag = "load" }
    w:search { data:queries(50), tag = "ten" }
    w:search { data:queries(50), k = 100, tag = "a hundred" }
    w:search { data:queries(50), repeated = true, tag = "repeated" }
    w:search { data:queries(10), cold = true, tag = "cold" }
  end,

  methods = {
    method { "flat" },
    method { "skeleton", sweep = { block = { 16, 256 } } }, -- a method's knob; the answers are the same
    method { "spfresh", params = { store = "file" }, sweep = { nprobe = { 4, 16 } } },
  },

  claims = {
    { "spfresh reaches a recall of .9", function(r) return r.most("spfresh", "recall@10/ten") >= 0.9 end },
  },
}
