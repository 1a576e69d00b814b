-- channi_static.lua - CHANNI on 296 507 SIFT descriptors that do not change: recall, rate, memory, disk, and what its cache holds.
--
-- The source claims memory far below a pure HNSW's, few distances through a graph in each cluster, sizes and builds that need no k-means; it states no
-- figure. Bytes stay bytes in CHANNI; hnswlib, our HNSW and FAISS's IVF hold floats, four times as large, as they would in use.

require "channi_static".run {
  name = "channi_static", title = "CHANNI on data that do not change",
  data = require "channi".sift(), row_bytes = 128,
}
