# An error of a config names the file, the line and what was meant.
# shellcheck shell=bash
config() { # NAME LINE...
    local name=$1
    shift
    printf '%s\n' "$@" >"$name.lua"
    run check "$name.lua"
}
config nothing 'local x = 1'
config syntax 'experiment {' ' name = = 1 }'
printf 'experiment {\0}' >vectors.lua
run check vectors.lua
config os 'os.execute("touch owned")'
config random 'return math.random()'
config key 'experiment { name = "a", repeets = 3 }'
config dataset 'dataset "minst"'
config kind 'synthetic { kind = "mixtur", rows = 10, dim = 4 }'
config parameter 'local s = synthetic { kind = "gaussian", rows = 10, dim = 4 }' \
    'experiment { name = "bad", workload = function(w) w:insert { s } end,' \
    '  methods = { method { "divf", params = { softk = 2 } } } }'
config knob 'local s = synthetic { kind = "gaussian", rows = 10, dim = 4 }' \
    'experiment { name = "bad", workload = function(w) w:insert { s } end,' \
    '  methods = { method { "divf", params = { nprobe = 2 } } } }'
config gone 'local s = synthetic { kind = "gaussian", rows = 10, dim = 4 }' \
    'experiment { name = "bad", workload = function(w) w:insert { s } end,' \
    '  methods = { method { "divf", params = { init = "random" } } } }'
config operation 'local s = synthetic { kind = "gaussian", rows = 10, dim = 4 }' \
    'experiment { name = "bad", workload = function(w) w:insret { s } end, methods = { method { "flat" } } }'
config empty 'local s = synthetic { kind = "gaussian", rows = 10, dim = 4 }' \
    'experiment { name = "bad", workload = function(w) w:search { s:queries(1) } end, methods = { method { "flat" } } }'
config recall 'local s = synthetic { kind = "gaussian", rows = 100, dim = 4 }' \
    'experiment { name = "bad", workload = function(w) w:insert { s } w:search { s:queries(1), tag = "q" } end, methods = { method { "flat" } },' \
    '  claims = { { "fast", function(r) return r("flat", "p50_ns@recall=0.95/q") < 1 end } } }'
ls -1 owned 2>/dev/null
