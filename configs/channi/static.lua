-- static.lua - CHANNI on SIFT descriptors that do not change: recall, throughput, memory, disk, and the
-- content of its cache.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another. Parameters and claims are set for photo-sift.
--
-- The paper claims memory far below that of a pure HNSW, few distances through a graph in each cluster, and sizes and
-- builds without k-means. It gives no figure. CHANNI stores bytes as bytes. hnswlib, our HNSW and FAISS's IVF hold
-- floats, four times as large, as they would in use.

require "channi_static".run {
  name = "channi_static", title = "CHANNI on data that do not change",
  data = require("datasets").open "photo-sift",
}
