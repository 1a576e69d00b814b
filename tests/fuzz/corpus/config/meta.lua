local t = setmetatable({}, { __index = function(t, k) return t end, __close = function() end })
table.sort({ 3, 1, 2 }, function(a, b) return a < b end)
local c = coroutine.wrap(function() coroutine.yield(t) end) c()
for k, v in pairs { a = 1, [2] = 3 } do string.format('%s %d', k, v):gsub('%d', '') end
