local data = synthetic { kind = 'mixture', rows = 300, dim = 8 }
local n = option('n', 10, 'rows')
experiment { name = 'all', seed = 2, seeds = 2, repeats = 2, k = 3, threads = 2, timeout = 9, memory_limit = '1G', warmup = false,
  workload = function(w)
    w:train { data:rows(1, 50) }
    w:insert { data:rows(1, 100), tag = 'load', batch = 30, singles = 4 }
    w:update { random = 5, with = data:rows(201, 205) }
    w:delete { oldest = 3 } w:delete { ids = { 40, 41 } } w:delete { data:rows(60, 61) }
    w:search { data:queries(4), k = 2, filter = { tag = 'load' }, tag = 'q' }
    w:range { data:queries(4), radius = 2, filter = { fraction = 0.5 } }
    w:save {} w:reload {} w:maintain { budget = 5 } w:checkpoint 'c'
    w:concurrent { data:queries(4), writes = data:rows(101, 120), readers = 2, seconds = 1, rate = 10 }
    for i = 1, 3 do w:delete { random = w.rng:int(1, 3) } end
  end,
  methods = { method { 'flat', deletes = 'filter', overfetch = 3 }, method { 'divf', label = 'A', params = { soft_k = 2 }, knobs = { budget = 0.5 },
    sweep = { nprobe = { 1, 4 } }, grid = { storage = { 'ram', 'mmap' } }, ablations = { ['no X'] = { caprg = false } },
    rebuild = 'load', calibrate = { recall = 0.9 } } },
  paper = { flat = { ['recall@2/q'] = 1 } },
  claims = { { 'c', function(r) return r('flat', 'recall@2/q') == 1 end } },
  figures = { { 'pareto', x = 'distances', y = 'recall@2', where = { tag = 'q' } } } }
