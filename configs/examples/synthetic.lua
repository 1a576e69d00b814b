-- Synthetic data: every kind with all its options. --set kind=drift selects another kind.
local kind = option("kind", "mixture", "mixture, bytes, gaussian, drift or sphere; uniform or codes (64-bit codes)")
local kinds = {
  mixture = synthetic { kind = "mixture", rows = 3000, dim = 32, seed = 1, clusters = 30, latent = 8, spread = 0.4,
                        noise = 0.1, weights = 1 },
  bytes = synthetic { kind = "mixture", rows = 3000, dim = 32, byte_scale = 32 },
  gaussian = synthetic { kind = "gaussian", rows = 3000, dim = 32, seed = 2, metric = "cosine" },
  drift = synthetic { kind = "drift", rows = 3000, dim = 32, seed = 3, clusters = 20, spread = 0.4, speed = 2,
                      turnover = 3, rotation = 0.5, weights = 0.5 },
  sphere = synthetic { kind = "sphere", rows = 3000, dim = 32, exponent = 1.2, mean_cosine = 0.6 },
  uniform = synthetic { kind = "uniform", rows = 3000, clusters = 10, members = 20, radius = 6 },
  codes = synthetic { kind = "codes", rows = 3000, skew = 0.5 },
}
local data = kinds[kind]

experiment {
  name = "synthetic",
  title = "Synthetic data",

  workload = function(w)
    w:insert { data, tag = "load" }
    w:search { data:queries(10), tag = "ask" }
  end,

  methods = { method { "flat" } },
}
