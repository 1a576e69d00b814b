#!/bin/bash
# test_processes.sh - processes, files, scratch folders and locks that runs, methods
# and signals leave behind.
# Needs: schema
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
plugin=$root/build/release/tests/plugins/stray.so
trap '[ $BASHPID != $$ ] || leave' EXIT
leave() {
    kill_ours
    rm -rf "$work" /tmp/driftline-stray-* /dev/shm/driftline-stray-*
}
[ -e "$plugin" ] || { echo "not ok - $plugin is not built"; exit 1; }

# Processes of this test are known by their program, or by a sleep of a length of its own.
seconds=$((100000 + $$))
ours() { pgrep -f "^$program" || pgrep -f "^sleep $seconds$"; }
kill_ours() { for pid in $(ours); do kill -KILL "$pid" 2>/dev/null; done; }
wait_for() { # CONDITION: up to a minute
    for _ in $(seq 1200); do
        eval "$1" && return 0
        sleep 0.05
    done
    return 1
}
result() { # EXPRESSION of the result r and its first cell c
    python3 -c "import json; r = json.load(open('r/stray/result.json')); c = r['cells'][0]; print($1)"
}

cat >stray.lua <<'LUA'
local s = synthetic { kind = "gaussian", rows = 500, dim = 8 }
experiment {
  name = "stray", k = 5, timeout = 600,
  workload = function(w) w:insert { s }; w:search { s:queries(10), tag = "q" } end,
  methods = { method { "stray", params = { what = option("what", 0, "what is left"), seconds = option("seconds", 60, "how long") } } },
}
LUA
stray() { run --plugin "$plugin" --out r --set seconds=$seconds --set what="$1" "${@:2}" stray.lua; }

# ---- what a method leaves
stray 0 --no-plots
check "a method that leaves nothing has no warning of its own" \
    '[ $status = 0 ] && ! result "c[\"warnings\"]" | grep -q "running\|outside the cell.s folder\|driftline-stray"'
stray 1 --no-plots
check "a process that left its session is ended and named" \
    '[ $status = 0 ] && ! ours && result "c[\"warnings\"]" | grep -q "still running.*(sleep $seconds)"'
check "and a warning says so" 'grep -q "^warning: stray, repeat 1: processes still running at the end of the cell" err'
stray 14 --no-plots
check "files in /tmp, in memory and in /dev/shm are named" '[ $status = 0 ] && (
    for place in "/tmp/driftline-stray-[0-9]*-open" "/memfd:driftline-stray" "/dev/shm/driftline-stray-[0-9]*-open"; do
        result "c[\"warnings\"]" | grep -q "outside the cell.s folder.*$place" || exit 1
    done)'
run report r/stray
check "the page has the warnings" 'grep -q "Warning: stray, repeat 1: written outside the cell.*memfd:driftline-stray" r/stray/report.html'
stray 224 --no-plots
check "files that were closed again are named as new: large ones, and those with its number" '[ $status = 0 ] &&
    result "c[\"warnings\"]" | grep -q "new temporary files.*/tmp/driftline-stray-[0-9]*-closed" &&
    result "c[\"warnings\"]" | grep -q "/dev/shm/driftline-stray-large" && ! result "c[\"warnings\"]" | grep -q stray-small'
keeps_to_schema r/stray
stray 17 --no-plots --timeout 1
check "so it is when the cell is stopped at a limit" \
    '[ $status = 1 ] && ! ours && [ "$(result "c[\"status\"]")" = timeout ] && result "c[\"warnings\"]" | grep -q "sleep $seconds"'

# ---- a run that is killed
begin() { # WHAT: in the background, until the cell hangs in its search
    rm -rf r
    "$program" --plugin "$plugin" --no-plots --out r --set seconds=$seconds --set what="$1" stray.lua >out 2>err &
    pid=$!
    wait_for 'pgrep -f "^sleep $seconds\$" >/dev/null && [ -n "$(ls r/stray/scratch 2>/dev/null)" ]'
}
ended() { # SIGNAL
    local start
    start=$(date +%s%N)
    kill -"$1" $pid
    wait $pid 2>/dev/null
    status=$?
    took_ms=$((($(date +%s%N) - start) / 1000000))
}
# Of three tries the first that takes under a second. On a busy machine it may take several; without the signal, more than a minute.
soon='[ $took_ms -lt 20000 ]'
ended_soon() { # SIGNAL BEGIN...: starts a process as pid, ready to be ended
    for _ in 1 2 3; do
        "${@:2}"
        ended "$1"
        [ $took_ms -ge 1000 ] || break
    done
}
begin 17
check "a cell works in a folder that names its owner" 'ls r/stray/scratch | grep -q "^cell-$pid-"'
ended KILL
check "of a killed run no process stays, those of its method neither" 'wait_for "! ours >/dev/null"'
check "nor does its scratch folder" 'wait_for "[ -z \"\$(ls r/stray/scratch)\" ]"'
for signal in HUP TERM INT; do
    ended_soon $signal begin 17
    check "SIG$signal ends a run at once, and all it started" \
        "$soon"' && [ $status = 1 ] && grep -q "interrupted: .*; the same command with --resume goes on" err && ! ours && [ ! -e r/stray/scratch ]'
done
rm -rf r
nohup "$program" --plugin "$plugin" --no-plots --out r --set seconds=$seconds --set what=17 stray.lua >out 2>err &
pid=$!
wait_for 'pgrep -f "^sleep $seconds\$" >/dev/null'
kill -HUP $pid
sleep 0.3
check "nohup keeps SIGHUP ignored" 'kill -0 $pid && [ -n "$(ls r/stray/scratch)" ]'
ended INT

# Not only the run but all that watches over its cell: what they leave is found by the next run.
begin 17
cell=$(ls r/stray/scratch)
for one in $(pgrep -f "^$program"); do kill -STOP "$one"; done
for one in $(pgrep -f "^$program"); do kill -KILL "$one"; done
wait $pid 2>/dev/null
check "a run whose guard is killed too leaves something" '[ -d "r/stray/scratch/$cell" ] && ours >/dev/null'
mkdir -p "r/stray/scratch/cell-$$-$(cut -d" " -f22 /proc/$$/stat)-alive0" r/stray/scratch/cell-$$-1-reused r/stray/scratch/other
mkdir -p r/stray/cells
touch r/stray/result.json.$pid.tmp r/stray/cells/0.json.$pid.tmp r/stray/result.json.$$.tmp r/stray/kept.tmp r/stray/kept.0x1.tmp
(cd "r/stray/scratch/$cell" && exec sleep 60) &
bystander=$!
stray 0 --no-plots
check "the next run removes it, with its processes" \
    '[ $status = 0 ] && [ ! -e "r/stray/scratch/$cell" ] && ! ours >/dev/null && grep -q "removed 2 scratch folders.*ended 1 of" err'
check "a folder whose owner runs stays, one of a number used again goes" \
    '[ -d r/stray/scratch/cell-$$-*-alive0 ] && [ ! -e r/stray/scratch/cell-$$-1-reused ] && [ -d r/stray/scratch/other ]'
check "so with files that a killed process was writing" \
    '[ "$(cd r/stray && ls *.tmp cells/*.tmp 2>/dev/null | xargs)" = "kept.0x1.tmp kept.tmp result.json.$$.tmp" ]'
check "a process that only works in such a folder is none of it" 'kill -0 $bystander'
kill $bystander

# ---- two runs, one folder
begin 17
before=$(cat r/stray/scratch/*/none 2>/dev/null; ls -i r/stray)
stray 0 --no-plots
check "a second run into the folder is refused and names the first" \
    '[ $status = 1 ] && grep -q "process $pid is writing here" err && grep -q -- --out err && [ "$(ls -i r/stray)" = "$before" ]'
cp -R r/stray copy && rm -rf copy/scratch
run report copy
printf '{"schema":"driftline-result/1","experiment":{},"environment":{},"datasets":[],"cells":[],"summary":[],"claims":[],"paper":[],"figures":[]}' >r/stray/result.json
run plot r/stray
check "plot is refused there" '[ $status = 2 ] && grep -q "process $pid is writing here" err'
run report r/stray
check "report and compare read what is there" '[ $status = 0 ] && [ -s r/stray/report.html ]'
ended KILL
wait_for '! ours >/dev/null'
stray 0 --no-plots
check "the folder is free once the run is dead" '[ $status = 0 ]'

# ---- Ctrl-C while gnuplot runs
mkdir bin
cat >bin/gnuplot <<SH
#!/bin/sh
[ "\$1" != --version ] || exec echo a gnuplot that hangs
touch "$work/drawing"
exec sleep $seconds
SH
chmod +x bin/gnuplot
begin_drawing() {
    rm -rf r drawing
    PATH=$work/bin:$PATH "$program" --plugin "$plugin" --out r --set what=0 stray.lua >out 2>err &
    pid=$!
    wait_for '[ -e drawing ]'
}
for signal in INT HUP; do
    ended_soon $signal begin_drawing
    check "SIG$signal ends a run at once while gnuplot runs, and gnuplot" \
        "$soon"' && [ $status = 1 ] && ! ours && grep -q "harness plot r/stray draws them" err'
    check "what was measured is written, and reported; no figures are promised" \
        '[ "$(result "c[\"status\"]")" = ok ] && [ -s r/stray/report.html ] && grep -q "^results: .*/result.json$" out'
done
mkdir failing
printf '#!/bin/sh\nexit 1\n' >failing/gnuplot
chmod +x failing/gnuplot
rm r/stray/report.html
PATH=$work/failing:$PATH "$program" --plugin "$plugin" --out r --set what=0 stray.lua >out 2>err
status=$?
check "the report is written also where gnuplot fails" '[ $status = 1 ] && [ -s r/stray/report.html ]'
rm -f drawing
PATH=$work/bin:$PATH "$program" plot r/stray >out 2>err &
pid=$!
wait_for '[ -e drawing ]'
ended INT
check "Ctrl-C ends plot and its gnuplot" '[ $status = 2 ] && ! ours && grep -q interrupted err'
rm drawing
PATH=$work/bin:$PATH "$program" plot r/stray >out 2>err &
pid=$!
wait_for '[ -e drawing ]'
ended KILL
check "gnuplot does not outlive a killed plot" 'wait_for "! ours >/dev/null"'

exit $failed
