-- spfresh.lua - Shared by the configs of SPANN and SPFresh: the released code's figures, and the comparison
-- of points of a sweep.
--
-- A page is 4096 bytes. bytes_read / 4096 is the number of pages of postings that a query reads, whatever
-- stores them.

local spfresh = {}

spfresh.page = 4096

-- Clusters of about a thousand vectors, each in 16 directions of its own.
function spfresh.mixture(rows)
  return synthetic { kind = "mixture", rows = rows, dim = 128, clusters = math.max(10, rows // 1000) }
end

function spfresh.point(label, nprobe) return ("%s[nprobe=%d]"):format(label, nprobe) end

-- The first point of an ascending sweep that reaches a recall. An error where none does.
function spfresh.reaching(r, label, probes, recall, tag)
  for _, nprobe in ipairs(probes) do
    local point = spfresh.point(label, nprobe)
    if r(point, "recall@10/" .. tag) >= recall then return point end
  end
  error(("%s reaches recall %g at no point of its sweep"):format(label, recall), 0)
end

-- The recall of a sweep at the value `x` of a metric (bytes_read, distances), interpolated between the two nearest
-- points. An error outside the sweep.
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

-- The released code (SPTAG's SPANN, one search thread, page cache) on 296 507 descriptors of an earlier
-- photo-sift, which cannot be made any more. Heads probed = recall,
-- distances without duplicates, pages, p50, p99, p99.9 in ms. It probed 16, 32, ... of 35 555 heads. The 64
-- has a MaxCheck of 1024.
local released = {
  { 16, 0.8766, 995, 40, .110, .201, .231 },
  { 32, 0.9522, 1973, 79, .162, .276, .317 },
  { 48, 0.9795, 2941, 117, .397, .645, .809 },
  { 64, 0.9876, 3912, 156, .312, .500, .583 },
  { 128, 0.9974, 7752, 310, .769, 1.23, 1.57 },
}

-- The released code's table as published figures for the points of `label` in a sweep, and searches tagged `tag`.
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

-- The parameters of the released code's build and measurement, by our names.
spfresh.as_released = { ratio = 0.12, replicas = 8, page_limit = 4 }

-- For a million vectors of 128 floats. Fewer heads keep memory below a tenth of the vectors.
spfresh.for_1m = { ratio = 0.03 }

-- A copy of a table with keys added or replaced.
function spfresh.with(base, more)
  local all = {}
  for key, value in pairs(base) do all[key] = value end
  for key, value in pairs(more or {}) do all[key] = value end
  return all
end

return spfresh
