-- The embedding model changes while the index lives: the same items by model A and by model B, of which 0, 5, 10, 25, 50, 75, 90,
-- 95 and 100 % are by B. configs/lib/model_change.lua has the workload; configs/model_change/emoji.lua is the experiment.
--
-- Two synthetic sets stand for the two models. Vectors of one's own take their place: --set a=A.npy --set b=B.npy in emoji.lua.
local function model(seed) return synthetic { kind = "sphere", rows = 1000, dim = 24, mean_cosine = .3, seed = seed } end
local a, b = model(1), model(2)

require("model_change").experiment {
  a = a, b = b, a_queries = a:queries(50), b_queries = b:queries(50), min_time = 0,
  methods = {
    { "flat" },
    { "hnsw", knobs = { ef_search = 40 }, ours = true, new = true },
    { "divf", label = "divf, none", params = { clusters = 10, maintenance = "none" }, knobs = { nprobe = 2 }, new = true },
    { "divf", label = "divf, lire", params = { clusters = 10, maintenance = "lire" }, knobs = { nprobe = 2 } },
  },
}
