-- Range search over 64-bit codes: all codes within a Hamming radius, for growing radii, by an exact scan.
local data = synthetic { kind = "uniform", rows = 20000, clusters = 50, members = 20, radius = 6 }

experiment {
  name = "hamming_radius",
  title = "Codes within a Hamming radius",
  k = 10,

  workload = function(w)
    w:insert { data, tag = "load" }
    for _, radius in ipairs { 0, 2, 4, 8, 12 } do
      w:range { data:queries(50), radius = radius, planted = 20, tag = "radius " .. radius }
    end
    w:search { data:queries(50), tag = "nearest" }
  end,

  methods = { method { "flat", label = "scan" } },
  claims = {
    { "the scan finds every code in every radius", function(r)
      return r("scan", "range_recall/radius 2") == 1 and r("scan", "range_recall/radius 12") == 1
    end },
  },
  figures = { { "radius" } },
}
