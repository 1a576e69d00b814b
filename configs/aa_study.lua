-- What compare can and cannot see: one method under two labels, and by option one that does 10 % more (make aa-study).
--
-- `make aa-study` runs this many times over. Two runs with extra = 0 differ in nothing, so that every difference which compare
-- claims between them is false. With extra = 10 each query asks 10 % more lists of the same index, which its `distances` measure:
-- what compare does not claim then, it missed.
local extra = option("extra", 0, "lists asked beyond 40, in percent")
local data = synthetic { kind = "mixture", rows = 40000, dim = 32, clusters = 50 }
local lists = { clusters = 200 }

experiment {
  name = "aa_study",
  title = "The same method under two labels",
  repeats = 5,

  workload = function(w)
    w:train { data:rows(1, 40000) }
    w:insert { data:rows(1, 40000), tag = "load" }
    w:search { data:queries(500), tag = "ask" }
  end,

  methods = {
    method { "flat", label = "scan" },
    method { "flat", label = "scan again" },
    method { "divf", label = "lists", params = lists, knobs = { nprobe = 40 + math.floor(0.4 * extra + 0.5) } },
    method { "divf", label = "lists again", params = lists, knobs = { nprobe = 40 + math.floor(0.4 * extra + 0.5) } },
  },

  claims = {
    { "(ours) two labels of one method do the same work", function(r)
      return r("lists", "distances/ask") == r("lists again", "distances/ask")
    end },
  },
}
