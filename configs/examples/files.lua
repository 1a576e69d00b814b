-- Vectors from files of several formats, with queries and parts. --set from=codes selects another file.
local from = option("from", "table", "table, numbers, hdf5, codes or signed")
local sets = {
  -- Text. The first line is a header, the first column an id. Each row has a time and a label in files of their own.
  table = file { "data/stations.csv", queries = "data/stations_asked.csv", time = "data/stations.i64",
                 label = "data/stations_year.txt", id = 1, header = true, metric = "cosine" },
  -- Raw numbers: the config gives the number of columns.
  numbers = file { "data/points.f32", dim = 4 },
  -- One of several data sets in a file.
  hdf5 = file { "data/vectors.hdf5", dataset = "second", queries = "data/vectors.hdf5" },
  -- Eight bytes per row become 64-bit codes. The file's name does not give the format.
  codes = file { "data/codes.bin", format = "u8bin", element = "b64" },
  -- Signed bytes become bytes with the same distances.
  signed = file { "data/signed.i8bin", add = 128, element = "u8" },
}
local data = sets[from]

experiment {
  name = "files",
  title = "Vectors from files",

  workload = function(w)
    if from == "table" then
      w:insert { data:sort_by("time"), batch = 100, tag = "load" }
      w:delete { data:sort_by("label"):rows(1, 100), tag = "smallest labels" }
      w:search { data:queries(), tag = "ask" }
    else
      w:insert { data:rows(1, #data - 20), tag = "load" }
      w:search { data:rows(#data - 19, #data), tag = "ask" }
    end
  end,

  methods = { method { "flat" } },
}
