# inspect prints the structure of a saved index, and what w:inspect stored in a result.
export DRIFTLINE_KERNELS=scalar # the same sums on every processor
cat >small.lua <<'LUA'
local s = synthetic { kind = "mixture", rows = 600, dim = 12 }
experiment {
  name = "small",
  workload = function(w)
    w:insert { s:rows(1, 500), tag = "load" }
    w:inspect { depth = 1, tag = "loaded" }
    w:delete { s:rows(1, 400), tag = "leave" }
    w:inspect { ids = true, tag = "left" }
  end,
  methods = {
    method { "divf", label = "ivf", params = { clusters = 3 } },
    method { "flat" },
    method { "skeleton" },
  },
}
LUA
cat >codes.lua <<'LUA'
local codes = synthetic { kind = "codes", rows = 400 }
experiment {
  name = "codes",
  workload = function(w) w:insert { codes } end,
  methods = { method { "hftrie", params = { mode = "standard", chunk_bits = 2, leaf_capacity = 40 } }, method { "hamming-scan", label = "scan" },
    method { "mih", params = { tables = 2, key_bits = 6 } } },
}
LUA
run build --quiet small.lua --method ivf --save ivf
run build --quiet codes.lua --method hftrie --save trie
run build --quiet codes.lua --method scan --save scan
run build --quiet codes.lua --method mih --save mih
run inspect ivf
run inspect ivf --depth 1 --node 'list 2'
run inspect trie --depth 2
run inspect trie --node 'node 5' --depth 1
FILTER='head -n 8'
run inspect trie --node 'leaf 31' --all
run inspect trie --node 'leaf 31' --json
FILTER=
run inspect ivf --node 'list 77'
run inspect ivf --node list
run inspect ivf --depth 0
run inspect scan
run inspect mih
run inspect nowhere

run run --quiet --no-plots --out r small.lua >/dev/null
run inspect r/small
run inspect r/small --only flat
ls r/small/cells
truncate -s 300 r/small/cells/0.structure
run inspect r/small --only ivf
