local data = synthetic { kind = 'mixture', rows = 300, dim = 8 }
experiment { name = 'live', workload = function(w)
    local first, last = w:insert { batch = 7, stream = function(i) if i < 5 then return data:rows(20 * i, 20 * i + 19) end end }
    w:set { soft_k = '3', caprg = false, tag = 's' }
    w:delete { ids = { first, last } }
    pcall(w.insert, w, { stream = function(i) w:set { replicas = i } return data end })
    pcall(w.set, w, { soft_k = 9, storage = 'mmap' })
    w:save {} w:reload {}
  end,
  methods = { method { 'flat' }, method { 'divf' } } }
