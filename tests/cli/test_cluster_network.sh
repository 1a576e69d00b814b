#!/bin/bash
# test_cluster_network.sh - run --mpi on two hosts, each a network namespace, between which packets take 20 ms and 1 % are lost:
# the result is that of a single process.
# shellcheck disable=SC2016,SC2034,SC2154,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
export TMPDIR=$work

export PATH=$PATH:/usr/sbin:/sbin
for needed in mpirun ip python3; do
    command -v $needed >/dev/null && continue
    echo "ok - ranks on two hosts # SKIP there is no $needed"
    exit 0
done
one=driftline-$$-1 two=driftline-$$-2
if [ ! -e "$root/build/libdriftline_mpi.so" ] || [ ! -c /dev/net/tun ] || ! ip netns add "$one" 2>out; then
    echo "ok - ranks on two hosts # SKIP no Open MPI, no /dev/net/tun, or no right to make a network namespace"
    exit 0
fi
if ! ip netns exec "$one" true 2>out; then # in a chroot, for one
    echo "ok - ranks on two hosts # SKIP a network namespace cannot be entered here: $(head -n 1 out)"
    ip netns del "$one"
    exit 0
fi
link=
remove() {
    [ -z "$link" ] || kill "$link" 2>/dev/null
    ip netns del "$one"
    ip netns del "$two"
    rm -rf "$work"
}
trap remove EXIT
ip netns add "$two"
cp "$root/build/libdriftline_mpi.so" .

python3 "$root/tests/cli/lossy_link.py" "$one" "$two" 20 .01 >link.out 2>&1 &
link=$!
for _ in $(seq 100); do
    grep -q ready link.out && break
    sleep .1
done
if ! grep -q ready link.out; then
    echo "ok - ranks on two hosts # SKIP no link between namespaces: $(tail -n 1 link.out)"
    exit 0
fi
for i in 1 2; do
    host=driftline-$$-$i
    ip -n $host addr add 10.77.0.$i/24 dev lossy
    ip -n $host link set lossy up
    ip -n $host link set lo up
done
printf '10.77.0.1 slots=1\n10.77.0.2 slots=1\n' >hosts
# What mpirun takes for ssh: HOST COMMAND.
cat >agent <<AGENT
#!/bin/bash
host=\$1
shift
exec ip netns exec "driftline-$$-\${host##*.}" bash -c "\$*"
AGENT
chmod +x agent

run run --quick --no-plots --out one "$root/configs/cluster/sweep.lua"
timeout 200 ip netns exec "$one" mpirun --allow-run-as-root --mca plm_rsh_agent "$work/agent" --mca oob_tcp_if_include lossy \
    --mca btl_tcp_if_include lossy --hostfile hosts --map-by node -n 2 -x TMPDIR -x DRIFTLINE_ROOT -x DRIFTLINE_CACHE \
    "$program" run --mpi --quick --no-plots --out two "$root/configs/cluster/sweep.lua" </dev/null >out 2>err
status=$?
check "two hosts behind latency and loss measure a sweep" '[ $status = 0 ]'
check "with the result of one process, but for times" 'python3 "$root/tests/cli/same_result.py" one two 2 2>why || { cat why >>err; false; }'
check "both hosts measured" 'python3 -c "
import json
assert all(r[\"cells\"] > 0 for r in json.load(open(\"two/cluster_sweep/result.json\"))[\"environment\"][\"ranks\"])"'

exit $failed
