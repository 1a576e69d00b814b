-- turnover.lua - Every row of a data set's first part replaced by one of its second part, in twenty steps of a twentieth.

local turnover = {}
local steps = 20

-- The insertions of the last step have the tag "last", at which `rebuilt` methods link all rows anew.
function turnover.workload(data, rows, maintain)
  local function slice(first, step)
    return data:rows(first + (step - 1) * rows // steps + 1, first + step * rows // steps)
  end
  return function(w)
    w:insert { data:rows(1, rows), tag = "load" }
    for step = 1, steps do
      w:delete { slice(0, step), tag = "leave" }
      w:insert { slice(rows, step), tag = step < steps and "come" or "last" }
    end
    if maintain then w:maintain {} end
    w:search { data:queries(1000), tag = "after" }
  end
end

-- The claim that each label keeps its recall, at each of the values of a knob.
function turnover.claim(labels, knob, values)
  return { "recall after turnover is within a point of a rebuilt index's, at every " .. knob, function(r)
    for _, value in ipairs(values) do
      local function recall(label) return r(("%s[%s=%d]"):format(label, knob, value), "recall@10/after") end
      for _, label in ipairs(labels) do
        if recall(label) < recall("rebuilt") - 0.01 then return false end
      end
    end
    return true
  end }
end

turnover.figures = {
  { "pareto", x = "distances", y = "recall@10", where = { tag = "after" }, title = "After every row was replaced" },
}

return turnover
