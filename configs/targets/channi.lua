-- channi.lua - The targets of CHANNI on SIFT descriptors: rate, memory and build compared with hnswlib.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- Other targets are in channi_words.lua (word vectors), channi_live.lua (searches during splits), channi/growth.lua
-- and channi/churn.lua (recall compared with fresh builds). hnswlib has no bytes and keeps floats.
--
-- A sweep on these data found the parameters: small clusters, many of them probed, scanned by RaBitQ codes of one bit
-- per dimension. Exact distances are computed for the few vectors that the codes cannot exclude. Graphs in clusters
-- of 1000 compute ten times the distances at this recall (channi/static.lua).

require "target_channi".run {
  name = "target_channi", title = "CHANNI against hnswlib",
  data = require("datasets").open "photo-sift",
  params = { target_cluster = 500, cache_mb = 64, cluster_index = "codes", bits = 1 },
  sweep = { nprobe = { 12, 16, 24, 32, 40, 48 } },
  quick = { target_cluster = 100 },
}
