-- emoji.lua - The embedding model changes while the index lives: pictures of emoji by MobileNetV2, then one after the other by a
-- wider MobileNetV2, from 5 % to 95 % and to the end. Queries of either model are asked throughout.
--
-- Data: emoji. --set a=FILE --set b=FILE takes vectors of one's own, the same items row by row, with --set a_queries=FILE and
-- --set b_queries=FILE. Claims are set for emoji.
--
-- Every maintenance policy of the dynamic IVF and other methods live beside indexes of the same vectors that are built anew at
-- each share. Lists were trained on model A.

local datasets = require "datasets"

local function view(name, part, help)
  local path = option(name, "", help)
  return path == "" and dataset { "emoji", part = part } or datasets.named(path, "cosine")
end

require("model_change").experiment {
  name = "model_change",
  a = view("a", "base", "a file: items by model A"), b = view("b", "mid-base", "a file: the same items by model B"),
  a_queries = view("a_queries", "query", "a file: queries by model A"),
  b_queries = view("b_queries", "mid-query", "a file: queries by model B"),
}
