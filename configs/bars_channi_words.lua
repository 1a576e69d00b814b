-- bars_channi_words.lua - the same bars on word vectors under cosine: w2v100, 100 000 words of 100 floats.
--
-- A row is 400 bytes in both, and hnswlib's links a quarter of its memory: 35 % of it leave no room for the vectors. Clusters are RaBitQ codes in the cache,
-- and the few vectors that these cannot exclude are read one by one: three beside the ten answers. Words lie unevenly: about primaries drawn at random
-- clusters hold 5 to 1000, and recall .95 looks at a third more codes than about those next to k-means centroids, which the source would do without
-- (and bars_channi.lua does). Building takes no longer: fewer clusters have to be split.

require "bars_channi".run {
  name = "bars_channi_words", title = "CHANNI held to hnswlib on word vectors",
  data = require "channi".words(),
  params = { target_cluster = 300, sampling = "kmeans", cache_mb = 16, inside = "codes", bits = 5, eps0 = 1.7, cold_rows = true },
  sweep = { nprobe = { 8, 12, 14, 16, 18, 20, 24, 32, 48 } },
  quick = { target_cluster = 100 },
}
