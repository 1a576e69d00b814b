-- channi_sizes_mnist.lua - sizes of clusters by sampling and by how many there are, on the digits of MNIST. See channi_sizes.lua.

require "channi_sizes".run {
  name = "channi_sizes_mnist", title = "CHANNI: sizes of clusters, digits",
  data = dataset "mnist", row_bytes = 784,
}
