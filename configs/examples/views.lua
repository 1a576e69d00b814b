-- Views: ranges, samples, shuffles, concatenation and measured drift; and random draws that are the same in every run.
local data = synthetic { kind = "drift", rows = 6000, dim = 16, clusters = 20 }
local first, last = data:rows(1, 3000), data:rows(3001, #data)

experiment {
  name = "views",
  title = "Which rows, in which order",

  workload = function(w)
    print(string.format("%d rows of %d x %s, compared by %s", #data, data.dim, data.element, data.metric))
    print(string.format("from the first half to the last: means differ by %.2f, projections by %.2f; contrast %.2f, then %.2f",
      first:drift(last)))
    w:insert { last:sample(500) .. first:shuffle(3), tag = "load" }
    local rounds = { 100, 200, 300 }
    w.rng:shuffle(rounds)
    for _, n in ipairs(rounds) do
      w:delete { random = n + w.rng:int(0, 20), tag = "leave" }
      w:search { data:queries(20, { at = 0.5 + w.rng:real() / 2 }), k = math.min(10, w.live), tag = "ask" }
    end
  end,

  methods = { method { "flat" } },
}
