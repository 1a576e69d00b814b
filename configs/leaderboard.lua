-- leaderboard.lua - Every method, ours and the baselines, tuned alike, under one way in which data change.
--
-- Data: photo-sift; --set data=sift1m, gist1m or deep-10M takes another, as does the path of a file.
--
-- Each method is built with each combination of a small grid of parameters. Tuning queries choose the first point of
-- its sweep that reaches the recall; other queries measure it. One query at a time. `./harness reproduce leaderboard`
-- runs all workloads. `./harness advise` runs this config on parts of the data with ever fewer builds.
--
--   ./harness configs/leaderboard.lua --set data=photo-hog --set workload=window
--   ./harness configs/leaderboard.lua --set front=yes --set 'keep=hnsw 1; vamana 1; divf, RaBitQ 1; hnswlib 1'

local ranking = require "ranking"
local workloads = require "workloads"

local name = option("data", "photo-sift", "a data set of the catalog, or a file of vectors")
local distance = option("distance", "", "l2, ip or cosine; by default the data set's")
local workload = option("workload", "churn", workloads.names)
local part = option("part", "", "the data set's name in a runbook that has several")
local other = option("queries_of", "", "a data set whose queries are asked, such as fashion-mnist with data=mnist")
local recall = option("recall", 0.95, "recall@10 that each build must reach")
local rows = option("rows", quick and 5000 or 100000, "used, at most; a churn and a window hold half of them")
local asked = option("queries", quick and 200 or 1000, "asked; half of them tune")
local keep = option("keep", "", "builds, separated by semicolons, such as 'hnsw 2; divf 1'; all without")
local pair = option("pair", "", "two points to measure alternately, separated by a semicolon, such as 'hnsw 2[...]; divf 1[...]'")
local seconds = option("seconds", 20, "for the pair")
local front = option("front", "no", "yes: every point of a sweep, for a front of recall and throughput; best with keep") == "yes"

ranking.experiment {
  name = "leaderboard_" .. (workload:match("([^/]+)%.ya?ml$") or workload:match("[^/]+$")),
  title = ("Every method tuned to recall %g: %s, %s"):format(recall, name, workload),
  data = name, metric = distance ~= "" and distance or nil, workload = workload, recall = recall, rows = rows, asked = asked,
  keep = keep, pair = pair, seconds = seconds, front = front, part = part ~= "" and part or nil,
  queries = other ~= "" and dataset(other):queries() or nil,
}
