-- bars_channi.lua - the bars that CHANNI is held to on 296 507 SIFT descriptors: rate, memory and build beside hnswlib.
--
-- The others: bars_channi_words.lua (word vectors), bars_channi_live.lua (searches beside splits), channi_growth.lua and channi_churn.lua (recall beside
-- fresh builds). hnswlib knows no bytes and keeps floats: a fifth of its memory is what CHANNI's vectors take as they are, and all of them stay cached.

require "bars_channi".run {
  name = "bars_channi", title = "CHANNI held to hnswlib",
  data = require "channi".sift(),
  params = { target_cluster = 1000, cache_mb = 64 },
  sweep = { nprobe = { 2, 4, 6, 8, 12, 16 }, in_ef = { 16, 32, 48 } },
  quick = { target_cluster = 200 },
}
