#!/bin/bash
# test_cluster.sh - run --mpi: the ground truth and the cells of a sweep on the ranks of mpirun are those of a single process, and a
# rank that is killed loses its part or its cell alone. Every command of docs/cluster.md, those of Slurm on one node that the test starts.
# Needs: schema slurm
# shellcheck disable=SC2016,SC2034,SC2154,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
export TMPDIR=$work

run run --part 3/2 --no-plots --out results "$root/configs/cluster/sweep.lua"
check "a part beyond the last is refused" '[ $status = 2 ] && grep -q "^error: --part 3/2: expected I/N" err'

if [ ! -e "$root/build/libdriftline_mpi.so" ] || ! command -v mpirun >/dev/null; then
    run run --mpi --no-plots --out results "$root/configs/cluster/sweep.lua"
    check "without Open MPI, --mpi says what is missing" '[ $status = 2 ] && grep -q "^error: --mpi: .*libopenmpi-dev" err'
    echo "ok - sweeps on ranks # SKIP there is no Open MPI"
    exit $failed
fi
run run --mpi --no-plots --out results "$root/configs/cluster/sweep.lua"
check "without the library beside the program, --mpi says so" '[ $status = 2 ] && grep -q "^error: --mpi: there is no libdriftline_mpi.so" err'
cp "$root/build/libdriftline_mpi.so" .
run run --in-process --mpi --no-plots --out results "$root/configs/cluster/sweep.lua"
check "--in-process and --mpi are refused together" '[ $status = 2 ] && grep -q "^error: --in-process cannot be used with --mpi" err'

# In a container without ptrace, or as root, mpirun wants to be told.
ranks() { # N OPTION... PROGRAM ARGUMENT...
    timeout 600 mpirun --allow-run-as-root --oversubscribe -n "$@" >out 2>err
    status=$?
}

run --quick --no-plots --out one "$root/configs/cluster/sweep.lua"
check "one process measures the sweep" '[ $status = 0 ]'
ranks 2 "$program" run --mpi --quick --no-plots --out two "$root/configs/cluster/sweep.lua"
check "two ranks measure it" '[ $status = 0 ] && [ -s two/cluster_sweep/result.json ]'
check "and are said to share a machine" '[ "$(grep -c "^warning: ranks 0 and 1 share the machine" err)" = 1 ]'
check "with the result of one process, but for times" 'python3 "$root/tests/cli/same_result.py" one two 2 2>why || { cat why >>err; false; }'
check "and the answers of each cell" '[ "$(find two/cluster_sweep/cells -name "*.answers*" | wc -l)" = "$(find one/cluster_sweep/cells -name "*.answers*" | wc -l)" ]'
check "no scratch folder of a rank stays" '[ -z "$(find . -maxdepth 1 -name "driftline-rank*")" ]'

ranks 1 "$program" run --mpi --quick --resume --no-plots --out two "$root/configs/cluster/sweep.lua"
check "one rank keeps what two have stored" '[ $status = 0 ] && grep -q "kept\|earlier" err && python3 -c "
import json; r = json.load(open(\"two/cluster_sweep/result.json\")); assert r[\"run\"][\"kept\"] == r[\"run\"][\"cells\"] > 0"'

# A paper of two configs, each on both ranks.
mkdir -p paper/configs
ln -s "$DRIFTLINE_ROOT"/plots "$DRIFTLINE_ROOT"/datasets paper/
cp "$root/configs/cluster/sweep.lua" paper/configs/
sed 's/name = "cluster_sweep"/name = "second"/' paper/configs/sweep.lua >paper/configs/second.lua
printf 'toy configs/sweep.lua\ntoy configs/second.lua\n' >paper/configs/papers.txt
DRIFTLINE_ROOT=$work/paper ranks 2 "$program" reproduce --mpi --quick --no-plots --out both toy
check "a paper is reproduced on two ranks, which rank 0 tells" '[ $status = 0 ] && [ -s both/reproduce-toy.html ] && [ "$(grep -c "^reproduce toy: " out)" = 1 ] &&
    [ "$(grep -c "^[12] of 2: configs/" err)" = 2 ] && python3 -c "
import json; r = json.load(open(\"both/second/result.json\")); assert all(rank[\"cells\"] > 0 for rank in r[\"environment\"][\"ranks\"])"'
check "with the same result" 'python3 "$root/tests/cli/same_result.py" one both 2 2>why || { cat why >>err; false; }'

ranks 2 "$program" run --mpi --quick --no-plots --out three /nowhere.lua
check "a config that is not there ends all ranks with an error" '[ $status != 0 ] && [ $status != 124 ] && grep -q "^error: " err'

# Parts of the ground truth: of several pieces, with deletes, filters and ranges, in a cache of its own each time.
cat >truth.lua <<'LUA'
local data = synthetic { kind = "mixture", rows = 60000, dim = 32, clusters = 40 }
experiment {
  name = "truth", k = 100,
  workload = function(w)
    w:insert { data:rows(1, 50000), tag = "load" } w:search { data:queries(1000), tag = "ask" }
    w:delete { random = 20000 } w:insert { data:rows(50001, 60000) } w:search { data:queries(1000), tag = "ask" }
    w:range { data:queries(50), radius = 30 } w:search { data:queries(50), filter = { fraction = .1 }, k = 20, tag = "few" }
  end,
  methods = { method { "divf", params = { clusters = 64 } } },
}
LUA
same_truths() { # CACHE CACHE: whether the second has every truth of the first; the last 32 bytes are signed with a key of its own
    ls "$1"/truth/*.truth >/dev/null || return 1
    for file in "$1"/truth/*.truth; do
        cmp <(head -c -32 "$file") <(head -c -32 "$2/truth/${file##*/}") || return 1
    done
}
of_ranks() { # RESULT EXPRESSION of `ranks` and `truth`
    python3 -c "
import json, sys
r = json.load(open('$1')); ranks, truth = r['environment']['ranks'], r['truth']
sys.exit(not ($2))"
}
DRIFTLINE_CACHE=$work/cache1 run run --no-plots --out one truth.lua
check "one process computes a ground truth" '[ $status = 0 ]'
for n in 2 3; do
    DRIFTLINE_CACHE=$work/cache$n ranks $n "$program" run --mpi --no-plots --out ranks$n truth.lua
    check "$n ranks compute it in parts" '[ $status = 0 ] && grep -q "^part $n of $n of the exact truth begins on rank" err'
    check "which are the whole, bit for bit" 'same_truths cache1 cache$n'
    check "with the result of one process" 'python3 "$root/tests/cli/same_result.py" one ranks$n $n truth 2>why || { cat why >>err; false; }'
    check "and all rows, of $n ranks" 'of_ranks ranks$n/truth/result.json "sum(x[\"truth_rows\"] for x in ranks) == 60000"'
done
DRIFTLINE_CACHE=$work/cache3 ranks 2 "$program" run --mpi --no-plots --out again truth.lua
check "what is in the cache is computed by no rank" '[ $status = 0 ] && of_ranks again/truth/result.json "truth[\"seconds\"] == 0 and not any(x[\"truth_rows\"] for x in ranks)"'
check "and has the same result" 'python3 "$root/tests/cli/same_result.py" one again 2 truth 2>why || { cat why >>err; false; }'

# Long enough that a rank is killed while it measures.
ranks_of() { # NUMBER: the process of that rank
    for p in $(pgrep -f "^$program run --mpi"); do
        [ "$(cat "/proc/$(ps -o ppid= -p "$p" | tr -d ' ')/comm" 2>/dev/null)" = mpirun ] &&
            grep -qz "^OMPI_COMM_WORLD_RANK=$1$" "/proc/$p/environ" && echo "$p"
    done
}
cat >long.lua <<'LUA'
local data = synthetic { kind = "mixture", rows = 20000, dim = 64, clusters = 40 }
experiment {
  name = "long", k = 10, repeats = 2,
  workload = function(w) w:insert { data, tag = "load" } w:search { data:queries(2000), tag = "ask" } end,
  methods = { method { "hnsw" }, method { "flat" } },
}
LUA
kill_when() { # LINE CONFIG: kills rank 1 of a run of the config after this line of it
    : >err
    ranks 2 --enable-recovery "$program" run --mpi --no-plots --out killed "$2" &
    local job=$!
    for _ in $(seq 6000); do
        grep -q "$1" err 2>/dev/null || ! kill -0 "$job" 2>/dev/null && break
        sleep .02
    done
    victim=$(ranks_of 1)
    [ -z "$victim" ] || kill -9 "$victim"
    # Open MPI may take minutes to end where a rank was killed: once the result is there, it is not waited for.
    for _ in $(seq 6000); do
        grep -qs '"finished": true' "killed/${2%.lua}/result.json" && break
        kill -0 "$job" 2>/dev/null || break
        sleep .1
    done
    sleep 1
    pkill -P "$job"
    wait "$job"
}
kill_when "repeat .*begins on rank 1" long.lua
check "a rank is killed while it measures" '[ -n "$victim" ]'
check "the other goes on" 'grep -q "^warning: rank 1 is lost with" err && [ -s killed/long/result.json ]'
check "and measures its cell" 'python3 -c "
import json
r = json.load(open(\"killed/long/result.json\"))
assert r[\"run\"][\"finished\"] and all(c[\"status\"] == \"ok\" for c in r[\"cells\"])
assert [c[\"lost_ranks\"] for c in r[\"cells\"] if \"lost_ranks\" in c] == [[1]]
assert [x[\"lost\"] for x in r[\"environment\"][\"ranks\"]] == [False, True]"'

sed 's/"truth"/"lost"/; s/dim = 32/dim = 128/; s/queries(1000)/queries(2000)/' truth.lua >lost.lua
kill_when "truth begins on rank 1" lost.lua
check "a rank is killed while it computes a part of the ground truth" '[ -n "$victim" ] && grep -q "^warning: rank 1 is lost with part . of 2 of the exact truth" err'
check "the other computes it" 'of_ranks killed/lost/result.json "[x[\"truth_rows\"] for x in ranks] == [60000, 0] and ranks[1][\"lost\"]"'

# The commands of the document, in a folder that stands for the checkout.
mkdir checkout && cd checkout || exit 1
ln -s "$root"/{configs,datasets,plots} .
printf '#!/bin/sh\nexec %s "$@"\n' "$program" >harness && chmod +x harness
echo "localhost slots=4" >hosts
export DRIFTLINE_ROOT=$PWD OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1

documented() { # BEGINNING: runs the commands of docs/cluster.md that begin so
    while read -r line; do
        timeout 600 bash -c "$line --quick" </dev/null >out 2>err
        status=$?
        check "$line" '[ $status = 0 ]'
    done < <(sed -n "s|/tmp/|$work/|; s|^    \\($1 .*\\)|\\1|p" "$root/docs/cluster.md")
}
documented mpirun
check "they measured the sweep on four ranks at last" 'python3 -c "
import json; assert len(json.load(open(\"results/cluster_sweep/result.json\"))[\"environment\"][\"ranks\"]) == 4"'

documented ./harness
documented OMPI_MCA
check "they measured an index on two ranks" 'python3 -c "
import json
cells = json.load(open(\"results/cluster_sharded/result.json\"))[\"cells\"]
assert all(c[\"status\"] == \"ok\" for c in cells) and any(c[\"params\"].get(\"ranks\") == 2 for c in cells)"'

for command in munged slurmctld slurmd sbatch; do
    PATH=$PATH:/usr/sbin command -v $command >/dev/null && [ "$(id -u)" = 0 ] && continue
    echo "ok - jobs of Slurm # SKIP there is no $command, or this is not root"
    exit $failed
done
export PATH=$PATH:/usr/sbin SLURM_CONF=$work/slurm/slurm.conf
stop_slurm() {
    for pid in "$work"/slurm/*.pid; do
        [ -s "$pid" ] && kill "$(cat "$pid")" 2>/dev/null
    done
    sleep 1
    rm -rf "$work"
}
trap stop_slurm EXIT
# Below those that the system gives to whoever asks, as to the ranks of other tests.
read -r control_port node_port < <(python3 -c '
import random, socket
ports, sockets = [], []
while len(ports) < 2:
    try:
        sockets.append(socket.socket())
        sockets[-1].bind(("127.0.0.1", random.randrange(10000, 30000)))
        ports.append(sockets[-1].getsockname()[1])
    except OSError:
        pass
print(*ports)')
mkdir -p "$work"/slurm/{state,spool}
head -c 1024 /dev/urandom >"$work/slurm/munge.key"
chmod 600 "$work/slurm/munge.key"
chmod 755 "$work" "$work/slurm"
host=$(hostname -s)
cat >"$SLURM_CONF" <<CONF
ClusterName=driftline
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$control_port
SlurmdPort=$node_port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/slurm/munge.socket
CredType=cred/munge
StateSaveLocation=$work/slurm/state
SlurmdSpoolDir=$work/slurm/spool
SlurmctldPidFile=$work/slurm/slurmctld.pid
SlurmdPidFile=$work/slurm/slurmd.pid
SlurmctldLogFile=$work/slurm/slurmctld.log
SlurmdLogFile=$work/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
munged --force --key-file="$work/slurm/munge.key" --socket="$work/slurm/munge.socket" --pid-file="$work/slurm/munged.pid" \
    --log-file="$work/slurm/munged.log" --seed-file="$work/slurm/munge.seed" >out 2>err &&
    slurmctld >>out 2>>err && slurmd -N "$host" >>out 2>>err
for _ in $(seq 100); do
    sinfo -h -o %t 2>/dev/null | grep -q idle && break
    sleep .1
done
if ! sinfo -h -o %t 2>/dev/null | grep -q idle; then
    echo "ok - jobs of Slurm # SKIP its node does not start here: $(tail -n 1 "$work/slurm/slurmd.log" err 2>/dev/null | tr -d '\n')"
    exit $failed
fi
rm -rf results
documented sbatch
check "the parts of the array are there" '[ -s results/parts/1/cluster_sweep/result.json ] && [ -s results/parts/3/cluster_sweep/result.json ]'
check "with a part each" 'python3 -c "
import json
parts = [json.load(open(f\"results/parts/{i}/cluster_sweep/result.json\"))[\"run\"] for i in (1, 2, 3)]
assert all(0 < p[\"cells\"] < p[\"planned\"] for p in parts) and sum(p[\"cells\"] for p in parts) == parts[0][\"planned\"], parts"'
rm -rf results/cluster_sweep
documented configs/cluster/gather.sh
check "which are put together" 'python3 -c "
import json; r = json.load(open(\"results/cluster_sweep/result.json\"))[\"run\"]; assert r[\"finished\"] and r[\"kept\"] == r[\"planned\"], r"'

exit $failed
