-- Programs of your own as methods, each in a process of its own.
--
-- ./harness run --allow-programs configs/examples/external.lua starts them. Both clients do an exact scan.
-- With --set vec0=PATH/vec0.so a database joins them: src/build/baseline-sqlite-vec.sh fetches it.
local clients = "configs/examples/external/"
local vec0 = option("vec0", "", "vec0.so of sqlite-vec")
local data = synthetic { kind = "mixture", rows = 3000, dim = 32, clusters = 30 }

local methods = {
  method { "flat" },
  method { "external", label = "C", params = { command = "build/external-client" } },
  method { "external", label = "Python", params = { command = "python3 " .. clients .. "client.py", timeout_s = 60 } },
  method { "external", label = "by a shell", params = { command = "PYTHONUNBUFFERED=1 exec python3 " .. clients .. "client.py", shell = true } },
}
if vec0 ~= "" then
  methods[#methods + 1] = method { "external", label = "sqlite-vec",
    params = { command = "/usr/bin/python3 " .. clients .. "sqlite_vec.py", options = vec0 } }
end

experiment {
  name = "external",
  workload = function(w)
    w:insert { data:rows(1, 2800), tag = "load" }
    w:delete { random = 500, tag = "leave" }
    w:insert { data:rows(2801, 3000), tag = "arrive" }
    w:search { data:queries(100), tag = "ask" }
    w:checkpoint "end"
  end,
  methods = methods,
  claims = {
    { "answers of other processes are exact", function(r)
      return r("C", "recall@10/ask") == 1 and r("Python", "recall@10/ask") == 1 and r("by a shell", "recall@10/ask") == 1
    end },
  },
}
