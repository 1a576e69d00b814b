-- static.lua - CHANNI on 296 507 SIFT descriptors that do not change: recall, throughput, memory, disk, and the
-- content of its cache.
--
-- The paper claims memory far below that of a pure HNSW, few distances through a graph in each cluster, and sizes and
-- builds without k-means. It gives no figure. CHANNI stores bytes as bytes. hnswlib, our HNSW and FAISS's IVF hold
-- floats, four times as large, as they would in use.

require "channi_static".run {
  name = "channi_static", title = "CHANNI on data that do not change",
  data = require "channi".sift(), row_bytes = 128,
}
