-- ablation_soft_k.lua - soft_k, split_threshold and the number of clusters as a grid, on the drift of the dynamic IVF
-- paper (MNIST, then Fashion-MNIST).
--
-- The paper's tables vary these parameters one at a time and compare at one nprobe. A field of a heat map here is the
-- number of copies scanned for recall .95 on the drifted queries, so fields are comparable whatever their nprobe.
-- --quick runs a part of the grid.
local mnist   = dataset "mnist"
local fashion = dataset "fashion-mnist"

local rows     = option("rows", 10000, "digits loaded; half as many pictures of clothing follow")
local clusters = quick and { 16, 64 } or { 16, 32, 64, 128 }
local thresholds = quick and { 0, 1.5 } or { 0, 1.5, 2, 3 }
local soft = quick and { 1, 2 } or { 1, 2, 3 }

local grid, passes = "dynamic IVF", "passes of a split"
local function point(c, s, threshold)
  return ("%s[clusters=%d,soft_k=%d,split_threshold=%s]"):format(grid, c, s, threshold)
end
-- Points as figures name them, with every nprobe.
local probes = { 1, 2, 4, 8, 16 }
local function points(keep)
  local list = {}
  for _, c in ipairs(clusters) do
    for _, s in ipairs(soft) do
      for _, threshold in ipairs(thresholds) do
        for _, n in ipairs(probes) do
          if keep(c, s, threshold) then
            list[#list + 1] = ("clusters=%d,nprobe=%d,soft_k=%d,split_threshold=%s"):format(c, n, s, threshold)
          end
        end
      end
    end
  end
  return list
end

local metric = "scanned@recall=0.95/fashion"
local function map(x, y, title, keep)
  return { "heatmap", x = x, y = y, group = "scanned@recall=0.95", where = { tag = "fashion", point = points(keep) }, title = title }
end

experiment {
  name = "ablation_soft_k",
  title = "Soft assignment, splits and the number of lists",
  publication = "Copenhagen 0.1.0",
  seed = 1, repeats = 1, k = 10, threads = 1,

  workload = function(w)
    w:train  { mnist:rows(1, rows) }
    w:insert { mnist:rows(1, rows), tag = "load" }
    w:insert { fashion:rows(1, rows // 2), batch = 500, tag = "drift" }
    w:search { fashion:queries(100), tag = "fashion" }
    w:search { mnist:queries(100), tag = "mnist" }
  end,

  methods = {
    method { "divf", label = grid, params = { train_sample = 5000, train_iters = 10 },
             grid = { clusters = clusters, soft_k = soft, split_threshold = thresholds }, sweep = { nprobe = probes } },
    not quick and method { "divf", label = passes, params = { train_sample = 5000, train_iters = 10, clusters = 64, split_threshold = 1.5 },
                           grid = { max_split_iters = { 1, 10, 40 } }, sweep = { nprobe = probes } } or nil,
  },

  claims = {
    { "(ours) more lists help most: 64 scan less for recall .95 than 16, with soft_k 1 and no splits", function(r)
      return r(point(64, 1, 0), metric) < r(point(16, 1, 0), metric)
    end },
    { "(ours) soft_k=2 scans more than soft_k=1 for recall .95, at 16 and at 64 lists", function(r)
      return r(point(16, 2, 0), metric) > r(point(16, 1, 0), metric) and r(point(64, 2, 0), metric) > r(point(64, 1, 0), metric)
    end },
    { "(ours) splits at 1.5 halve the work on the drifted queries where lists are many (64)", function(r)
      return r(point(64, 1, 1.5), metric) <= 0.5 * r(point(64, 1, 0), metric)
    end },
    { "(ours) splits at 1.5 save nothing where lists are few (16, within 5 %)", function(r)
      return math.abs(r(point(16, 1, 1.5), metric) / r(point(16, 1, 0), metric) - 1) <= 0.05
    end },
  },

  figures = {
    map("clusters", "soft_k", "Lists and soft_k, no splits: copies scanned for recall .95", function(_, _, t) return t == 0 end),
    map("clusters", "split_threshold", "Lists and splits, soft_k 1: copies scanned for recall .95", function(_, s) return s == 1 end),
    map("soft_k", "split_threshold", "soft_k and splits, 64 lists: copies scanned for recall .95", function(c) return c == 64 end),
  },
}
