-- load.lua - A mix of operations on your own data: one of the presets A to F (configs/lib/load.lua), closed or at a rate.
--
-- `./harness load DATA` runs this config. Half of the rows are loaded, the others arrive. Where rows change, the searches
-- run first alone: `jitter` is their p99 beside the changes over that alone.
--
--   ./harness load photo-sift --preset B --method hnsw --rate 2000
--   ./harness load photo-sift --preset F --method 'hnswlib;hnsw' --set lock=true --set record=true
--   ./harness configs/load.lua --set data=photo-sift --set preset=D --set 'method=hnsw; divf' --set p99=5

local datasets = require "datasets"
local load = require "load"

local name = option("data", "photo-sift", "a data set of the catalog, or a file of vectors")
local letter = option("preset", "B", "the mix of operations, A to F")
local methods = option("method", "hnsw", "methods, separated by semicolons; --set METHOD.PARAMETER=VALUE sets their parameters")
local rate = option("rate", 0, "operations per second; 0: a closed loop")
local arrivals = option("arrivals", "poisson", "of a rate: constant, poisson, burst, or a file of times in seconds in place of a rate")
local seconds = option("seconds", quick and 1 or 10, "with a rate: how long it runs, as far as rows last")
local operations = option("operations", quick and 2000 or 20000, "without a rate: at most, as far as rows last")
local limit = option("limit", 0, "latency in milliseconds over which an operation of a rate is late or skipped; 0: none")
local p99 = option("p99", 0, "finds the largest rate at which the p99 of all operations is at most so many milliseconds; 0: does not")
local threads = option("workers", 2, "threads that run the operations")
local lock = option("lock", false, "a readers-writer lock around the methods, for those that let no change run beside searches")
local record = option("record", false, "stores the order of the operations in cells/NUMBER.orders of the result")
local replay = option("replay", "", "the path of such a file, whose order the operations take; empty: none")
local rows = option("rows", quick and 5000 or 100000, "used, at most")
local asked = option("queries", quick and 200 or 1000, "used, at most")

local preset = load.preset(letter)
local data = datasets.named(name):shuffle(1)
local own, queries = pcall(function() return datasets.named(name):queries() end)
local used = math.min(rows, own and #data or #data - math.min(asked, #data // 10))
if used < 400 then error(("%s: %d rows are too few: at least 400 are needed"):format(name, used)) end
if not own then queries = data:rows(#data - math.min(asked, #data // 10) + 1, #data) end
if #queries > asked then queries = queries:rows(1, asked) end

local loaded, new = data:rows(1, used // 2), data:rows(used // 2 + 1, used)
local recorded = arrivals:find("[./]") ~= nil
local wanted = (rate > 0 or recorded) and math.ceil(rate * seconds) or operations
if p99 > 0 then wanted = operations // 10 end
local most = load.operations(preset, p99 > 0 and 10 * wanted or wanted, #loaded, #new)
local changes = preset.search < 1

local more = { threads = threads, tag = "load", alone = changes and p99 == 0, repeated = preset.query_choice == "zipf", record = record,
               replay = replay ~= "" and replay or nil }
if p99 > 0 then
  more.operations, more.find_rate = most // 10, { p99_ms = p99 }
elseif recorded then
  more.arrivals = arrivals
else
  more.operations = most
  if rate > 0 then more.rate, more.arrivals = rate, arrivals end
end
if (rate > 0 or recorded) and limit > 0 then more.latency_limit_ms = limit end

local listed = {}
for method_name in methods:gmatch("[^;]+") do listed[#listed + 1] = method { method_name:match("^%s*(.-)%s*$"), lock = lock } end

experiment {
  name = "load_" .. letter:upper(),
  title = ("Load %s on %s"):format(letter:upper(), name),
  threads = threads,
  workload = function(w)
    w:train  { loaded }
    w:insert { loaded, tag = "start" }
    w:mix(load.step(preset, queries, new, more))
    w:search { queries, tag = "after" }
  end,
  methods = listed,
  figures = { { "ccdf", where = { tag = "load" }, title = "Latency of searches" } },
}
