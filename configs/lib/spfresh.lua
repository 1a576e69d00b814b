-- spfresh.lua - what the configs of SPANN and SPFresh share: the data, the released code's figures, and how points of a sweep are
-- compared.
--
-- A page is 4096 bytes: bytes_read / 4096 is the pages of postings that a query read, whichever store they lie in.

local spfresh = {}

spfresh.page = 4096
spfresh.sift_rows = 296507

-- SIFT descriptors of photographs, as bytes, image by image; where they are not at hand, a mixture of as many, as floats.
function spfresh.sift()
  local there, sift = pcall(dataset, "photo-sift")
  if there then return sift end
  print "photo-sift is not at hand: a synthetic mixture of as many floats instead; bars in ms and bytes are not meant for it"
  return spfresh.mixture(spfresh.sift_rows)
end

-- Clusters of a thousand or so, each in 16 directions of its own.
function spfresh.mixture(rows)
  return synthetic { kind = "mixture", rows = rows, dim = 128, clusters = math.max(10, rows // 1000) }
end

function spfresh.point(label, nprobe) return ("%s[nprobe=%d]"):format(label, nprobe) end

-- The first point of an ascending sweep that reaches a recall; an error where none does.
function spfresh.reaching(r, label, probes, recall, tag)
  for _, nprobe in ipairs(probes) do
    local point = spfresh.point(label, nprobe)
    if r(point, "recall@10/" .. tag) >= recall then return point end
  end
  error(("%s reaches recall %g at no point of its sweep"):format(label, recall), 0)
end

-- The recall of a sweep where it costs `x` of a metric (bytes_read, distances), interpolated between the two points about it; an
-- error outside of them.
function spfresh.recall_at(r, label, probes, metric, tag, x)
  local before_x, before
  for _, nprobe in ipairs(probes) do
    local point = spfresh.point(label, nprobe)
    local here_x, here = r(point, metric .. "/" .. tag), r(point, "recall@10/" .. tag)
    if here_x == x then return here end
    if before and before_x < x and here_x > x then
      return before + (here - before) * (x - before_x) / (here_x - before_x)
    end
    before_x, before = here_x, here
  end
  error(("%s has no points about %s = %g"):format(label, metric, x), 0)
end

-- The released code (SPTAG's SPANN, one search thread, page cache) on photo-sift: heads probed = recall, distances
-- without duplicates, pages, p50, p99, p99.9 in ms. It probed 16, 32, ... of 35 555 heads; 64 is with a MaxCheck of 1024.
local released = {
  { 16, 0.8766, 995, 40, .110, .201, .231 },
  { 32, 0.9522, 1973, 79, .162, .276, .317 },
  { 48, 0.9795, 2941, 117, .397, .645, .809 },
  { 64, 0.9876, 3912, 156, .312, .500, .583 },
  { 128, 0.9974, 7752, 310, .769, 1.23, 1.57 },
}

-- Its table as published figures of the points of `label` that a sweep has, of searches tagged `tag`.
function spfresh.released(label, tag, probes)
  local into, swept = {}, {}
  for _, nprobe in ipairs(probes) do swept[nprobe] = true end
  for _, line in ipairs(released) do
    into[spfresh.point(label, line[1])] = swept[line[1]] and {
      ["recall@10/" .. tag] = line[2], ["scanned/" .. tag] = line[3], ["bytes_read/" .. tag] = line[4] * spfresh.page,
      ["p50_ns/" .. tag] = line[5] * 1e6, ["p99_ns/" .. tag] = line[6] * 1e6, ["p999_ns/" .. tag] = line[7] * 1e6,
    }
  end
  return into
end

-- What the release was built and measured with; our parameters of the same names.
spfresh.as_released = { ratio = 0.12, replicas = 8, page_limit = 4 }

-- For a million vectors of 128 floats: fewer heads, so that memory stays below a tenth of the vectors.
spfresh.for_1m = { ratio = 0.03 }

-- A table with more keys, or others.
function spfresh.with(base, more)
  local all = {}
  for key, value in pairs(base) do all[key] = value end
  for key, value in pairs(more or {}) do all[key] = value end
  return all
end

return spfresh
