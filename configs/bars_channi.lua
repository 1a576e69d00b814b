-- bars_channi.lua - the bars that CHANNI is held to on 296 507 SIFT descriptors: rate, memory and build beside hnswlib.
--
-- The others: bars_channi_words.lua (word vectors), bars_channi_live.lua (searches beside splits), channi_growth.lua and channi_churn.lua (recall beside
-- fresh builds). hnswlib knows no bytes and keeps floats. Found by a sweep on these data: small clusters, of which many are probed, scanned
-- by RaBitQ codes of a bit a dimension; the few vectors that these cannot exclude are looked at as they are. Graphs in clusters of 1000 compute ten times the
-- distances at this recall (channi_static.lua).

require "bars_channi".run {
  name = "bars_channi", title = "CHANNI held to hnswlib",
  data = require "channi".sift(),
  params = { target_cluster = 500, cache_mb = 64, inside = "codes", bits = 1 },
  sweep = { nprobe = { 12, 16, 24, 32, 40, 48 } },
  quick = { target_cluster = 100 },
}
