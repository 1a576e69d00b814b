-- data_drift.lua - How much a stream of data drifts for a quantizer: lists trained on its first tenth, asked about each tenth.
--
-- The stream arrives in tenths. After each, 200 of its rows, which were held back, are asked. Lists that were trained on
-- the first tenth stand beside lists trained anew after each tenth. `--set order=random` is the same without drift.
--
--   ./harness configs/copenhagen/data_drift.lua --set data=photo-sift
--   ./harness configs/copenhagen/data_drift.lua --set data=mnist

local name = option("data", "changelogs", "changelogs, speech, photo-sift, photo-hog, words, or mnist, which fashion-mnist follows")
local order = option("order", "stream", "stream or random")
local part, asked = 10, 200
local datasets = require "datasets"

local stream = dataset(name)
if name == "mnist" then stream = stream .. dataset "fashion-mnist" end
stream = order == "random" and stream:shuffle(1) or datasets.in_order(stream, name)
local step = #stream // part
local size = math.min(option("size", quick and 2000 or step, "rows of each tenth"), step)

local frozen, anew = "lists of the first tenth", "lists trained anew"
local function ivf(label, rebuild)
  return method { "faiss-ivf-flat", label = label, element = "f32", params = { clusters = 256 }, rebuild = rebuild, sweep = { nprobe = { 4, 8, 16, 32 } } }
end

experiment {
  name = "data_drift",
  title = ("How far %s drifts, %s"):format(name, order == "random" and "in random order" or "in its order"),
  seed = 1, repeats = 1, k = 10, threads = 1,

  workload = function(w)
    w:train { stream:rows(1, size) }
    for tenth = 1, part do
      local last = (tenth - 1) * step + size
      w:insert { stream:rows(last - size + 1, last - asked), tag = "arrive" }
      w:search { stream:rows(last - asked + 1, last), tag = "ask" }
    end
  end,

  methods = { ivf(frozen), ivf(anew, "arrive") },

  figures = {
    { "timeline", y = { "recall@10", "scanned" }, where = { tag = "ask", point = "nprobe=8" }, title = "Asked about each tenth at nprobe 8" },
  },
}
