-- The same images as bytes and as floats, for a method that takes both.
local images = file "data/images.u8bin"

experiment {
  name = "element",
  title = "Bytes and floats",

  workload = function(w)
    w:insert { images:rows(1, 180), tag = "load" }
    w:search { images:rows(181, 200), tag = "ask" }
  end,

  methods = {
    method { "flat", label = "bytes" },
    method { "flat", label = "floats", element = "f32" },
  },
  figures = { { "memory", where = { tag = "load" } } },
}
