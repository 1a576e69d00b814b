-- bars_channi_words.lua - the same bars on word vectors under cosine: w2v100, 100 000 words of 100 floats.
--
-- A row is 400 bytes in both, and hnswlib's links a quarter of its memory: 35 % of it leave no room for the vectors. Clusters are RaBitQ codes in the cache,
-- and the few vectors that these cannot exclude are read one by one: four beside the ten answers. Sizes and bits were found with rows as queries.

require "bars_channi".run {
  name = "bars_channi_words", title = "CHANNI held to hnswlib on word vectors",
  data = require "channi".words(),
  params = { target_cluster = 250, cache_mb = 16, inside = "codes", bits = 5, cold_rows = true },
  sweep = { nprobe = { 12, 16, 20, 24, 28, 32, 48 } },
  quick = { target_cluster = 100 },
}
