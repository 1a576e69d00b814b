#!/bin/bash
# test_liar.sh - results of methods that lie: runs each mode of tests/plugins/liar/liar.c and
# compares its result with the table in liar.py. Modes that need other options, another workload or
# more time have runs of their own.
# Needs: schema
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program # its processes are known by it
plugins=$root/build/release/tests/plugins
table=$root/tests/cli/liar.py
trap '[ $BASHPID != $$ ] || leave' EXIT
leave() { # a method that stops its guard may outlive it
    for pid in $(pgrep -f "^$program"); do kill -KILL "$pid" 2>/dev/null; done
    rm -rf "$work" /dev/shm/driftline-liar-*
}
for name in liar liar-exact; do
    [ -e "$plugins/$name.so" ] || { echo "not ok - $plugins/$name.so is not built"; exit 1; }
done

# Lists of methods by mode, and what all runs have in common.
mkdir lib
cat >lib/liar.lua <<'LUA'
local liar = { data = synthetic { kind = "gaussian", rows = 3000, dim = 16 } }
function liar.modes(...)
  local methods = {}
  for _, mode in ipairs { ... } do methods[#methods + 1] = method { "liar", label = mode, params = { mode = mode } } end
  return methods
end
-- A point that scans a hundredth of the rows is fast and bad, unless what another point found is remembered.
function liar.swept(mode)
  return method { "liar", label = mode, params = { mode = mode }, sweep = { effort = { 100, 1 } } }
end
return liar
LUA
cat >main.lua <<'LUA'
local liar = require "liar"
local methods = liar.modes("batch_writes_nothing", "batch_answers_garbage", "range_batch_delivers_nothing",
  "caches_pages", "delayed_in_rhythm", "work_in_stats", "work_in_memory", "work_in_check", "work_in_search_warmup", "work_in_thread", "work_in_child",
  "exits_early", "insert_done_half", "insert_done_too_large", "remove_done_half",
  "work_assigned", "work_negative", "work_nan", "reads_truth", "forges_records", "forges_and_goes_on",
  "memory_memfd", "memory_child", "memory_shm", "memory_shared_map", "stats_named_as_harness",
  "range_query_out_of_range", "writes_past_the_end", "unsorted_distances", "nan_distances", "negative_distances",
  "repeats_ids", "lazy_until_batch", "answers_deleted", "square_roots", "all_processors", "counts_nothing", "leaves_segment", "reads_answers")
for _, m in ipairs {
  liar.swept "honest", liar.swept "memoises",
  method { "liar", label = "memoises_other_points", params = { mode = "memoises_other_points" }, sweep = { effort = { 99, 100 } } },
  method { "liar", label = "memoises_most", params = { mode = "memoises_most" } },
  method { "liar", label = "two_threads", params = { mode = "two_threads", work_ms = 200 } },
  method { "liar", label = "unknown_ids_overfetch", params = { mode = "unknown_ids_overfetch" }, deletes = "filter", overfetch = 3 },
  method { "liar-exact", label = "exact_flag_recall_zero", params = { mode = "exact_flag_recall_zero" } },
  method { "liar-exact", label = "exact_answers_deleted", params = { mode = "answers_deleted" } },
  method { "liar-exact", label = "serves_work_in_child", params = { mode = "work_in_child" } },
  method { "liar-exact", label = "exact_square_roots", params = { mode = "square_roots" } },
} do methods[#methods + 1] = m end
experiment {
  name = "main", k = 10, timeout = 300,
  workload = function(w)
    w:insert { liar.data, tag = "load" }
    w:search { liar.data:queries(200), tag = "search" }
    w:range { liar.data:queries(50), radius = 12, tag = "range" }
    w:delete { random = 100, tag = "delete" }
    w:search { liar.data:queries(200), tag = "after" }
  end,
  methods = methods,
}
LUA
cat >live.lua <<'LUA'
local liar = require "liar"
experiment {
  name = "live", k = 10, timeout = 300,
  workload = function(w)
    w:insert { liar.data:rows(1, 2950), tag = "load" }
    w:concurrent { liar.data:queries(200), writes = liar.data:rows(2951, 3000), writers = 1, readers = 1, seconds = 0.5, tag = "live" }
  end,
  methods = liar.modes("honest", "concurrent_readers_answer_nothing", "predicts_samples"),
}
LUA
cat >paced.lua <<'LUA'
local liar = require "liar"
experiment {
  name = "paced", k = 10, timeout = 300,
  workload = function(w)
    w:insert { liar.data, tag = "load" }
    w:concurrent { liar.data:queries(200), readers = 1, seconds = 1, rate = 1000, tag = "live" }
  end,
  methods = liar.modes("honest", "stalls"),
}
LUA
cat >repeated.lua <<'LUA'
local liar = require "liar"
experiment {
  name = "repeated", k = 10, timeout = 300,
  workload = function(w)
    w:insert { liar.data, tag = "load" }
    w:search { liar.data:queries(200), repeated = true, tag = "search" }
  end,
  methods = { liar.swept "honest", liar.swept "memoises" },
}
LUA
cat >pairs.lua <<'LUA'
local liar = require "liar"
local all = { "rounds_answer_nothing", "fails_at_the_end", "honest" }
local pairs_, claims = {}, {}
for i = 1, 2 do
  pairs_[i] = { all[i], "honest", budget = 3, within = 1, tags = "search" }
  claims[i] = { all[i] .. " is faster", function(r) return select(2, r.ratio(all[i], "honest", "search")) > 1 end }
end
experiment {
  name = "pairs", k = 10, timeout = 300,
  workload = function(w)
    w:insert { liar.data, tag = "load" }
    w:search { liar.data:queries(200), tag = "search" }
  end,
  methods = liar.modes(table.unpack(all)),
  compare = pairs_,
  claims = claims,
}
LUA
small='workload = function(w) w:insert { liar.data, tag = "load" }; w:search { liar.data:queries(50), tag = "search" } end'
# Held for longer than a second: so often the memory of child processes is looked at.
cat >limit.lua <<LUA
local liar = require "liar"
local methods = liar.modes("honest")
for _, mode in ipairs { "memory_memfd", "memory_child", "memory_shm", "memory_shared_map" } do
  methods[#methods + 1] = method { "liar", label = mode, params = { mode = mode, hold_ms = 2500 } }
end
experiment {
  name = "limit", k = 10, timeout = 300, methods = methods, $small,
}
LUA
for name in hang:closes_descriptors_and_hangs stopped:stops_the_guard killed:kills_the_guard poisoned:poisons_truth_cache signed:signs_poisoned_truths; do
    echo "local liar = require 'liar'
        experiment { name = '${name%:*}', k = 10, $small, methods = liar.modes('${name#*:}', 'honest') }" >"${name%:*}.lua"
done

run() { # NAME SECONDS OPTION...: results in r/NAME, what it prints in r/NAME.out
    mkdir -p r
    timeout -k 5 "$2" "$program" --plugin "$plugins/liar.so" --plugin "$plugins/liar-exact.so" --no-plots --out r \
        "${@:3}" "$1.lua" >"r/$1.out" 2>&1
    status=$?
    cp "r/$1.out" out
}
run main 800
check "cells that fail do not end the run" '[ $status = 1 ] && [ -s r/main/result.json ]'
keeps_to_schema r/main
run live 400
run paced 400
run repeated 400
run pairs 400
run limit 400 --memory-limit 32M
for name in poisoned signed; do
    run $name 400
    run $name 400
    rm -rf cache/truth
done
run killed 100
check "a method that kills its guard does not outlive it" '[ $status = 1 ] && ! pgrep -f "^$program" >/dev/null'
for name in hang stopped; do
    run $name 100 --timeout 10
    check "a method that hangs does not hang the run ($name)" '[ $status = 1 ] && [ -s r/$name/result.json ]'
done

python3 "$table" check r "$root/docs/adversary.md" || failed=1
modes=honest$(sed -n 's/^ *LIE(\([a-z_]*\)).*/|\1/p' "$root/tests/plugins/liar/liar.h" | tr -d '\n')
python3 "$table" modes "$modes" || failed=1

exit $failed
