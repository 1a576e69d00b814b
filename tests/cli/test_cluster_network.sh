#!/bin/bash
# test_cluster_network.sh - run --mpi on two hosts, each a network namespace, between which packets take 20 ms and 1 % are lost:
# the result is that of a single process.
# Needs: schema network
# shellcheck disable=SC2016,SC2034,SC2154,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
. tests/cli/hosts.sh
own_program
export TMPDIR=$work

if [ ! -e "$root/build/libdriftline_mpi.so" ]; then
    echo "ok - ranks on two hosts # SKIP there is no Open MPI"
    exit 0
fi
cp "$root/build/libdriftline_mpi.so" .
on_two_hosts "ranks on two hosts" 10.77.0 20 .01 1

run run --quick --no-plots --out one "$root/configs/cluster/sweep.lua"
timeout 800 ip netns exec "$one" mpirun --allow-run-as-root --mca plm_rsh_agent "$work/agent" --mca oob_tcp_if_include lossy \
    --mca btl_tcp_if_include lossy --hostfile hosts --map-by node -n 2 -x TMPDIR -x DRIFTLINE_ROOT -x DRIFTLINE_CACHE \
    "$program" run --mpi --quick --no-plots --out two "$root/configs/cluster/sweep.lua" </dev/null >out 2>err
status=$?
check "two hosts behind latency and loss measure a sweep" '[ $status = 0 ]'
check "with the result of one process, but for times" 'python3 "$root/tests/cli/same_result.py" one two 2 2>why || { cat why >>err; false; }'
check "both hosts measured" 'python3 -c "
import json
assert all(r[\"cells\"] > 0 for r in json.load(open(\"two/cluster_sweep/result.json\"))[\"environment\"][\"ranks\"])"'

exit $failed
