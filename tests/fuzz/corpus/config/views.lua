local data = synthetic { kind = 'mixture', rows = 300, dim = 8 }
local v = data:shuffle(3) .. data:sample(20) .. data:rows(5, 9)
experiment { methods = { method { 'flat' } }, workload = function(w)
  w:insert { data:shuffle():rows(1, 40) } w:search { v:rows(2, 30) } end }
