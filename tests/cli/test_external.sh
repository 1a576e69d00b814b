#!/bin/bash
# test_external.sh - the method external: clients that hang, die, lie and flood are the status of a cell with the reason;
# no program starts without --allow-programs; no process is left.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
clients=$root/configs/examples/external
cp "$root/build/external-client" client
seconds=$((200000 + $$)) # the processes of this test are known by it
left() { # whether one is there, ten seconds on
    for _ in $(seq 100); do
        pgrep -f "external_liar.py .* $seconds$|^sleep $seconds$" >out || return 1
        sleep 0.1
    done
}

cat >exact.lua <<'LUA'
local data = synthetic { kind = "mixture", rows = 600, dim = 12, clusters = 9 }
experiment {
  name = "exact", k = 10,
  workload = function(w)
    w:insert { data:rows(1, 500), tag = "load" }
    w:search { data:queries(40), tag = "ask" }
    w:delete { data:rows(1, 100), tag = "gone" }
    w:save { tag = "kept" }
    w:reload { tag = "back" }
    w:insert { data:rows(501, 600), tag = "more" }
    w:search { data:queries(40), tag = "again" }
  end,
  methods = { method { "external", params = { command = option("command", "") } } },
}
LUA

status_of() { # LABEL STATUS PATTERN: of the cell in result.json
    python3 - "$result" "$@" <<'PY'
import json, re, sys
path, label, status, pattern = sys.argv[1:]
cell = next(c for c in json.load(open(path))["cells"] if c["label"] == label)
ok = cell["status"] == status and re.search(pattern, cell["error"] or "")
print("" if ok else f'{cell["status"]}: {cell["error"]}')
sys.exit(not ok)
PY
}

run run --no-plots --out results --set command=./client exact.lua
result=results/exact/result.json
check "no program starts unless the command line allows it" \
    '[ $status = 1 ] && status_of external failed "\"\./client\"; if you trust it, repeat the command with --allow-programs"'

if ! python3 -c '' 2>/dev/null; then
    echo "ok - the rest # SKIP there is no python3"
    exit $failed
fi
python=$(python3 -c 'import sys; print(sys.executable)')
for command in ./client "$python $clients/client.py" "$python -S $clients/client.py"; do
    run run --allow-programs --force --no-plots --out results --set "command=$command" exact.lua
    check "$command: exact, with its overhead recorded, and no other warning" '[ $status = 0 ] && python3 - <<PY
import json
result = json.load(open("results/exact/result.json"))
(cell,) = result["cells"]
steps = {s["tag"]: s for s in cell["steps"]}
# On a slow machine the start of the interpreter takes longer than the small workload; other tests write temporary files.
harmless = "outside the timed calls", "by the method or by another program"
assert all(any(text in w for text in harmless) for w in cell["warnings"]), cell["warnings"]
assert steps["ask"]["recall"]["mean"] == steps["again"]["recall"]["mean"] == 1
assert 0 < steps["load"]["stats"]["call_overhead_ns"] < 1e8
assert steps["load"]["stats"]["client_bytes"] > 50000
assert steps["load"]["memory"]["index_bytes"] > steps["load"]["stats"]["client_bytes"]
PY'
done

run build --allow-programs --save saved --set command=./client exact.lua
run search --k 3 saved "$root/configs/examples/data/vectors.txt"
check "nor from a saved index" 'grep -q "repeat the command with --allow-programs" err'

run run --allow-programs --force --no-plots --out results --set "command=./client | cat" --set external.shell=true exact.lua
check "with shell, a shell runs the command" '[ $status = 0 ]'

# Each mode of the liar, and what its cell must say.
modes=$(sed 's/#.*//' <<'TABLE'
refuses|failed|create: RuntimeError: libfast.so.3 is not installed
unsupported|unsupported|create: NotImplementedError: codes
no-memory|out-of-memory|create: MemoryError: 32 GiB
hangs|failed|did not answer search within 8 s \(timeout_s\) and was killed
hangs-at-start|failed|sent no hello within 8 s and was killed
exits-at-start|failed|ended with exit status 3 during its start
dies|failed|was killed by signal 11 during search
exits|failed|ended with exit status 7 during search[^~]*goodbye from the client
closes|failed|closed its socket during search and was killed
floods|failed|sent a message
floods-without-end|failed|sent a message during search, but no answer
unknown-id|failed|with id 123456789 at .*: the id is not stored
nan|failed|at distance nan, rank 1: the distance is not finite
unsorted|failed|rank 2: it is nearer than the one before
gap|failed|rank 2: there is none before it
scribbles|failed|client .liar
truncates|failed|search: PermissionError
loses-rows|failed|answered insert of 500 rows with 499 done and no error
wrong-count|failed|answered insert of 500 with status 0 and count 505
wrong-status|failed|with status 77
wrong-version|failed|speaks version 99 of the protocol; this program speaks 1
short-hello|failed|sent a hello of 2 bytes
saves-nothing|failed|client .liar. answered save, but wrote no file at the path of the request
strays|failed|did not answer search within 8 s
memory-hangs|failed|did not answer search within 8 s
memory-dies|failed|was killed by signal 9 during search
TABLE
)
lies() { # NAME TIMEOUT GREP-OPTION...: a config of the modes that wait for their time-out, or by -v of the others
    echo 'local data = synthetic { kind = "mixture", rows = 500, dim = 12, clusters = 9 }
experiment { name = "'"$1"'", k = 10,
  workload = function(w)
    w:insert { data:rows(1, 500), tag = "load" }
    w:search { data:queries(20), tag = "ask" }
    w:save { tag = "keep" }
  end,
  methods = {'
    while IFS='|' read -r mode _; do
        echo "method { 'external', label = '$mode', params = { timeout_s = $2, command = '$python $root/tests/cli/external_liar.py $mode $seconds' } },"
    done < <(grep -E "${@:3}" "did not answer search within|sent no hello" <<<"$modes")
    echo '} }'
}
# Those that hang until their time is over run beside the others, whose time must not be over while the processors are busy.
lies late 8 -e >late.lua
lies lies 100 -v -e >lies.lua
"$program" run --allow-programs --no-plots --timeout 300 --out results late.lua >late.out 2>&1 &
run run --allow-programs --no-plots --timeout 300 --out results lies.lua
wait
while IFS='|' read -r mode want pattern; do
    result=results/lies/result.json
    ! grep -q "'$mode'" late.lua || result=results/late/result.json
    check "$mode: $want, /$pattern/" 'status_of "$mode" "$want" "$pattern" >out'
done <<<"$modes"
check "no process of theirs is left" '! left'

for wrong in "" "  " ./nowhere; do
    run run --allow-programs --force --no-plots --out results --set "command=$wrong" exact.lua
    result=results/exact/result.json
    check "command = \"$wrong\" is refused" \
        'status_of external failed "needs the command that starts its client|cannot start \"./nowhere\": No such file"'
done

# In the harness's own process nothing may be left either.
run run --in-process --allow-programs --force --no-plots --out results --only hangs --only memory-hangs late.lua
run run --in-process --allow-programs --force --no-plots --out results --only closes lies.lua
check "also in the harness's process" '! left'

exit $failed
