-- channi_words.lua - The targets of CHANNI on word vectors under cosine.
--
-- Data: words; --set data=glove-100-angular takes another. Parameters and claims are set for words.
--
-- A row is 400 bytes in both methods, and a quarter of hnswlib's memory is links. 35 % of that memory has no space
-- for the vectors. Clusters are RaBitQ codes in the cache. The few vectors that the codes cannot exclude are read one
-- by one: three beside the ten answers.
--
-- Words are unevenly distributed: clusters around random primaries hold 5 to 1000 vectors, and recall .95 then scans
-- a third more codes than with primaries next to k-means centroids. This config uses the latter. The paper avoids
-- centroids, and so does channi.lua. The build takes no longer with them, as fewer clusters split.

require "target_channi".run {
  name = "target_channi_words", title = "CHANNI against hnswlib on word vectors",
  data = require("datasets").open "words",
  params = { target_cluster = 300, sampling = "kmeans", cache_mb = 16, cluster_index = "codes", bits = 5, eps0 = 1.7, cold_rows = true },
  sweep = { nprobe = { 8, 12, 14, 16, 18, 20, 24, 32, 48 } },
  quick = { target_cluster = 100 },
}
