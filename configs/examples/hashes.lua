-- 64-bit hashes of small images: difference hashes, or cosine-transform hashes with --set hash=phash.
local images = file "data/images.u8bin"
local hash = option("hash", "dhash", "dhash or phash")
local codes = hashes { images, kind = hash }

experiment {
  name = "hashes",
  title = "Hashes of images",

  workload = function(w)
    w:insert { codes:rows(1, 180), tag = "load" }
    w:range { codes:rows(181, 200), radius = 8, tag = "alike" }
  end,

  methods = { method { "hamming-scan" }, method { "mih" } },
}
