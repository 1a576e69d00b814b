-- equal_work_mnist.lua - soft_k against nprobe at equal scanned volume, on the drift of the dynamic IVF paper.
--
-- 20,000 MNIST digits are followed by 10,000 images of clothing, in 32 lists, with queries of both. The paper's
-- tables compare at nprobe 4, where soft_k = 2 scans twice as much.
local mnist   = dataset "mnist"
local fashion = dataset "fashion-mnist"

require "equal_work" {
  name = "equal_work_mnist", title = "Soft assignment at equal work: MNIST and Fashion-MNIST",
  clusters = 32, paper_nprobe = 4, recalls = { "0.95", "0.98" }, pays = false,
  load = function(w)
    w:train  { mnist:rows(1, 20000) }
    w:insert { mnist:rows(1, 20000) .. fashion:rows(1, 10000), tag = "load" }
  end,
  queries = { fashion = fashion:queries(200), mnist = mnist:queries(200) },
}
