-- own.lua - What becomes of chosen builds as your own data change from day to day. `./harness advise DATA --daily 0.01` runs
-- it with the build that it advises and its rival, and says when to build again.
--
-- Data: photo-sift; --set data=FILE takes your own. Rows come in the order of the file.
--
--   ./harness configs/long_life/own.lua --set data=vectors.fbin --set daily=0.02 --set 'points=hnsw 2[ef_search=48]; divf 1[nprobe=12]'

local distance = option("distance", "", "l2, ip or cosine; by default the data set's")

require("long_life").own {
  name   = "own",
  data   = option("data", "photo-sift", "a data set of the catalog, or a file of vectors"),
  metric = distance ~= "" and distance or nil,
  points = option("points", "hnsw 1[ef_search=32]; divf 1[nprobe=12]", "builds of configs/lib/baselines.lua and their search parameters"),
  daily  = option("daily", 0.01, "share of the rows that a day replaces"),
  days   = option("days", 100, "days, each a round"),
  leave  = option("leave", "random", "which rows leave: random, oldest, newest or together"),
}
