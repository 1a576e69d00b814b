#!/bin/bash
# test_limits.sh - Ctrl-C and SIGTERM end the program within about a second, whatever
# a config is doing.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program

# A config with a statement at its top level, in its workload and in its claim.
config() { # NAME TOP WORKLOAD CLAIM
    cat >"$1.lua" <<LUA
local small = synthetic { kind = "gaussian", rows = 500, dim = 8 }
$2
experiment {
  name = "$1", k = 5,
  workload = function(w) $3; w:insert { small }; w:search { small:queries(10), tag = "q" } end,
  methods = { method { "flat" } },
  claims = { { "ends", function(r) $4; return true end } },
}
LUA
}

# Starts the program, waits until CONDITION holds for it and a moment more, sends the signal; $status and $took_ms.
stop() { # SIGNAL CONDITION ARGUMENT...
    local signal=$1 condition=$2 pid began
    shift 2
    : >err # what is read there tells that it has begun
    "$program" "$@" >out 2>err &
    pid=$!
    for _ in $(seq 1200); do
        eval "$condition" && break
        sleep 0.1
    done
    sleep 0.5
    kill -0 $pid 2>/dev/null || echo "ended before the signal" >>err
    began=$(date +%s%N)
    kill -"$signal" $pid
    for _ in $(seq 250); do
        kill -0 $pid 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    status=$?
    took_ms=$((($(date +%s%N) - began) / 1000000))
}
# A busy machine takes longer than a second; a statement that nothing interrupts here takes for ever.
soon='[ $took_ms -lt 20000 ] && ! grep -q "ended before" err'

sample='print("begun") local d = synthetic { kind = "uniform", rows = 200000000, clusters = 9 } while true do d:sample(200000000, 1) end'
count='print("begun") local s = ("x"):rep(1000000) while true do utf8.len(s) end'
config sample_top "$sample" "" ""
config sample_workload "" "$sample" ""
config count_top "$count" "" ""
config count_workload "" "$count" ""
for name in sample_top sample_workload count_top count_workload; do
    for signal in INT TERM; do
        stop $signal 'grep -q begun out err' check $name.lua
        check "SIG$signal ends $name" '[ $status = 1 ] && '"$soon"' && grep -q "interrupted" err'
    done
done
config sample_top "$sample" "" ""
stop INT 'grep -q begun out err' run --no-plots --out r sample_top.lua
check "run as well as check" '[ $status = 1 ] && '"$soon"
stop BUS 'grep -q begun out err' run --no-plots --out r sample_top.lua
check "a data file that lost its end is named as a cause" '[ $status = 1 ] && grep -q "^error: an open file became shorter" err'

# The results are there by then: they are written, with what became of the claim.
config claim "" "" 'print("begun") while true do end'
stop INT 'grep -q begun out err' run --no-plots --out r claim.lua
check "Ctrl-C ends a claim, and the result is written" "$soon"' && python3 -c "
import json
claim = json.load(open(\"r/claim/result.json\"))[\"claims\"][0]
assert claim[\"holds\"] is None and \"interrupted\" in claim[\"why\"], claim
"'

cat >truth.lua <<'LUA'
local s = synthetic { kind = "gaussian", rows = 400000, dim = 256 }
experiment {
  name = "truth", workload = function(w) w:insert { s }; w:search { s:queries(100000), tag = "q" } end,
  methods = { method { "flat" } },
}
LUA
stop INT '[ -e r/truth ]' run --no-plots --out r truth.lua
check "Ctrl-C ends the computation of the exact truth" '[ $status = 1 ] && '"$soon"

# What a config prints, and its errors, command no terminal.
config escape 'print("\27[31mred\194\155\7") error("\27]0;title\7", 0)' "" ""
"$program" check escape.lua >out 2>err
check "no escape sequence reaches the terminal" 'grep -q " \[31mred *\$" err && ! grep -q "$(printf "\033")" err && ! grep -q "$(printf "\007")" err'

exit $failed
