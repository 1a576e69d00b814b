-- The metrics of a result, and how they are related. The claims hold in every run.
local data = synthetic { kind = "mixture", rows = 5100, dim = 32, clusters = 40 }

-- A claim: a sentence, and a function that checks it. The function receives the metrics by name.
local function claim(sentence, holds)
  return { sentence, function(r) return holds(function(name) return r("lists", name) end) end }
end
local function near(a, b) return math.abs(a - b) <= 0.02 * math.abs(b) end

experiment {
  name = "metrics",
  title = "The metrics of a result",

  workload = function(w)
    w:train { data:rows(1, 2000) }
    w:insert { data:rows(1, 5000), singles = 200, tag = "load" }
    w:search { data:queries(200), tag = "ask" }
    for i = 0, 1 do w:search { data:queries(200):rows(100 * i + 1, 100 * i + 100), repeated = true, tag = "again" } end
    w:range { data:queries(100), radius = 12, planted = 10, tag = "near" }
    w:insert { data:rows(5001, 5100), batch = 50, rate = 1e5, tag = "arriving" }
  end,

  methods = {
    method { "divf", label = "lists", params = { clusters = 64, quantizer = "rabitq", storage = "mmap" }, knobs = { nprobe = 8 } },
  },

  claims = {
    -- speed
    claim("insertions per second are rows divided by seconds",
          function(m) return near(m "per_second/load", m "live/load" / m "seconds/load") end),
    claim("an insertion takes processor time, of its batch and of its singles", function(m) return m "cpu_seconds/load" > 0 end),
    claim("rows arrive at their rate", function(m) return m "rate/arriving" == 1e5 end),
    claim("each row of the batch takes time", function(m) return m "ns_each/load" > 0 end),
    claim("searches have a rate as a batch and one at a time",
          function(m) return m "qps/ask" > 0 and m "single_qps/ask" > 0 end),
    claim("new queries cost about as much as repeated ones", function(m) return m "new_over_repeated/ask" < 10 end),
    -- latency
    claim("percentiles rise", function(m)
      return m "p50_ns/ask" <= m "p90_ns/ask" and m "p90_ns/ask" <= m "p99_ns/ask" and m "p99_ns/ask" <= m "p999_ns/ask"
    end),
    claim("the maximum is the largest",
          function(m) return m "p999_ns/ask" <= m "max_ns/ask" and m "mean_ns/ask" <= m "max_ns/ask" end),
    -- quality
    claim("recall is high, one at a time and as a batch",
          function(m) return m "recall@10/ask" > 0.8 and m "throughput_recall@10/ask" > 0.8 end),
    claim("few queries lose half of their neighbours, more lose any", function(m)
      return m "queries_below_0.5/ask" <= m "queries_below_0.8/ask" and m "queries_below_0.8/ask" <= m "queries_below_0.9/ask"
        and m "queries_below_0.9/ask" <= m "queries_below_1/ask"
    end),
    claim("the lowest recall of two searches is at most their mean", function(m) return m "lowest_recall/again" <= m "recall@10/again" end),
    claim("every answer is a live row",
          function(m) return m "wrong_ids/ask" == 0 and m "throughput_wrong_ids/ask" == 0 end),
    claim("every query has ten answers", function(m) return m "short_answers/ask" == 0 end),
    -- work
    claim("most distances are only estimated", function(m) return m "distances/ask" < m "estimates/ask" end),
    claim("a scanned copy is more than a byte", function(m) return m "bytes_read/ask" > m "scanned/ask" end),
    claim("distances are also given as a percentage of the rows",
          function(m) return near(m "distances_percent/ask", 100 * m "distances/ask" / m "live/load") end),
    -- memory
    claim("a part of the index is smaller than the index", function(m) return m "parts.ids/load" < m "index_bytes/load" end),
    claim("resident memory is at most its peak", function(m) return m "rss_bytes/load" <= m "peak_bytes/load" end),
    claim("the vectors are in a mapped file",
          function(m) return m "disk_bytes/load" > 4 * 32 * 5000 and m "mapped_bytes/load" > 0 end),
    -- range searches
    claim("every answer is within the radius", function(m) return m "range_precision/near" == 1 end),
    claim("most rows within the radius are found",
          function(m) return m "range_recall/near" > 0.8 and m "throughput_range_recall/near" > 0.8 end),
    claim("planted recall is answers divided by planted rows",
          function(m) return near(m "planted_recall/near", m "range_results/near" / 10) end),
  },
}
