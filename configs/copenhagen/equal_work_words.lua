-- equal_work_words.lua - soft_k against nprobe at equal scanned volume, on word vectors under cosine: 100,000 words in 316
-- lists.
--
-- Data: words; --set data=glove-100-angular takes another. Parameters and claims are set for words.
local words = require("datasets").open "words"
local rows  = option("rows", quick and 30000 or 100000, "words inserted")

require "equal_work" {
  name = "equal_work_words", title = "Soft assignment at equal work: word vectors",
  clusters = option("lists", 316, "clusters"), paper_nprobe = 8, recalls = { "0.9", "0.95" }, pays = false,
  load = function(w)
    local base = words:shuffle(1):rows(1, rows)
    w:train  { base }
    w:insert { base, batch = 1000, tag = "load" }
  end,
  queries = { words = words:queries(200) },
}
