local d = synthetic { kind = 'codes', rows = 50 }
experiment { methods = { method { 'flat' }, method { 'divf' } }, workload = function(w) w:insert { d } w:range { d:queries(3), radius = 9 } end }
