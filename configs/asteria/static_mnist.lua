-- static_mnist.lua - configs/asteria/static.lua on digits and clothes under cosine (784 dimensions), with
-- queries of both.

local digits, clothes = dataset { "mnist", metric = "cosine" }, dataset { "fashion-mnist", metric = "cosine" }

require "asteria_static".run {
  name = "asteria_static_mnist", title = "Asteria on MNIST and Fashion-MNIST by cosine",
  data = (digits .. clothes):shuffle(1),
  queries = function(n) return digits:queries(n // 2) .. clothes:queries(n // 2) end,
}
