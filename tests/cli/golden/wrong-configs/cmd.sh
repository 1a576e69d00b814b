# An error of a config names the file, the line and what was meant. The messages are in tests/unit/config.
# shellcheck shell=bash
config() { # NAME LINE...
    local name=$1
    shift
    printf '%s\n' "$@" >"$name.lua"
    run check "$name.lua"
}
printf 'experiment {\0}' >vectors.lua
run check vectors.lua
config dataset 'dataset "minst"'
config file 'dataset "rows.csv"'
config parameter 'local s = synthetic { kind = "gaussian", rows = 10, dim = 4 }' \
    'experiment { name = "bad", workload = function(w) w:insert { s } end,' \
    '  methods = { method { "divf", params = { softk = 2 } } } }'
config gone 'local s = synthetic { kind = "gaussian", rows = 10, dim = 4 }' \
    'experiment { name = "bad", workload = function(w) w:insert { s } end,' \
    '  methods = { method { "divf", params = { init = "random" } } } }'
config recall 'local s = synthetic { kind = "gaussian", rows = 100, dim = 4 }' \
    'experiment { name = "bad", workload = function(w) w:insert { s } w:search { s:queries(1), tag = "q" } end, methods = { method { "flat" } },' \
    '  claims = { { "fast", function(r) return r("flat", "p50_ns@recall=0.95/q") < 1 end } } }'
