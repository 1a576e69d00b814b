-- equal_work.lua - Soft assignment against more probes at equal scanned volume, on the data of the calling config.
--
-- The paper's tables compare soft_k = 2 with soft_k = 1 at the same nprobe, where soft_k = 2 scans twice as much.
-- Here both are swept and compared at the same number of scanned copies. The three configs equal_work_*.lua differ
-- only in their data.

-- Calls experiment. spec: { name, title, clusters, paper_nprobe, load = function(w), queries = { TAG = view },
-- recalls = { TEXT }, pays }. paper_nprobe: the paper compares at this nprobe. recalls: as in scanned@recall=TEXT.
-- pays: whether soft_k = 2 is expected to pay.
return function(spec)
  local one, two, three = "dynamic IVF", "dynamic IVF soft_k=2", "dynamic IVF soft_k=3"
  local faiss = "FAISS IVF"
  local nprobe = spec.paper_nprobe

  -- From a quarter of the published nprobe to half of the lists, doubling. Without --quick, the midpoints as well.
  local probes, n = {}, nprobe // 4
  while n <= spec.clusters // 2 and n <= 16 * nprobe do
    probes[#probes + 1] = n
    if not quick and n * 3 // 2 > n and n * 3 // 2 < 2 * n and n * 3 // 2 <= spec.clusters // 2 then
      probes[#probes + 1] = n * 3 // 2
    end
    n = 2 * n
  end

  local function ivf(method_name, label, params)
    params.clusters = spec.clusters
    return method { method_name, label = label, params = params, sweep = { nprobe = probes } }
  end
  local function at(label) return label .. "[nprobe=" .. nprobe .. "]" end

  local tags, claims = {}, {}
  for tag in pairs(spec.queries) do tags[#tags + 1] = tag end
  for _, tag in ipairs(tags) do
    claims[#claims + 1] = { ("soft_k=2 finds more than soft_k=1 at the same nprobe (%s)"):format(tag), function(r)
      return r(at(two), "recall@10/" .. tag) > r(at(one), "recall@10/" .. tag)
    end }
    claims[#claims + 1] = { ("(ours) at the same nprobe soft_k=2 scans 1.5 times as many copies, or more (%s)"):format(tag), function(r)
      return r(at(two), "scanned/" .. tag) >= 1.5 * r(at(one), "scanned/" .. tag)
    end }
    for _, recall in ipairs(spec.recalls) do
      local metric = ("scanned@recall=%s/%s"):format(recall, tag)
      claims[#claims + 1] = { ("(ours) for recall %s soft_k=2 %s soft_k=1 (%s)"):format(recall,
        spec.pays and "scans fewer copies than" or "scans no fewer copies than", tag), function(r)
        if spec.pays then return r(two, metric) < r(one, metric) end
        return r(two, metric) >= r(one, metric)
      end }
    end
  end

  return experiment {
    name = spec.name, title = spec.title,
    publication = "Copenhagen 0.1.0",
    seed = 1, seeds = quick and 1 or 3, repeats = 1, k = 10, threads = 1,

    workload = function(w)
      spec.load(w)
      for _, tag in ipairs(tags) do w:search { spec.queries[tag], tag = tag } end
    end,

    methods = {
      ivf("divf", one, { soft_k = 1, split_threshold = 0 }),
      ivf("divf", two, { soft_k = 2, split_threshold = 0 }),
      ivf("divf", three, { soft_k = 3, split_threshold = 0 }),
      ivf("faiss-ivf-flat", faiss, {}),
    },

    claims = claims,

    figures = {
      { "pareto", x = "scanned", y = "recall@10", title = "Recall at equal work: copies scanned" },
      { "pareto", x = "single_qps", y = "recall@10", title = "Recall and throughput, one query at a time" },
      { "memory", title = "Memory" },
    },
  }
end
