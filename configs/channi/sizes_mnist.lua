-- sizes_mnist.lua - Cluster sizes by sampling and by number of clusters, on the digits of MNIST. See sizes.lua.

require "channi_sizes".run {
  name = "channi_sizes_mnist", title = "CHANNI: cluster sizes, digits",
  data = dataset "mnist",
}
