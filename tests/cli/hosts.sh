# hosts.sh - two hosts on one machine, sourced in a scratch folder: network namespaces, and a link between them that delays
# and loses packets.
# shellcheck shell=bash disable=SC2154  # $work, $root and $program are those of checks.sh

# on_two_hosts NAME SUBNET MS LOSS SLOTS: the hosts $one and $two are at SUBNET.1 and SUBNET.2 of the device `lossy`; `hosts` lists
# them, the second with so many slots; `agent` is what Open MPI takes for ssh, and `agent.log` has whom it was asked for.
# All go when the script ends. Where the machine cannot have them, NAME is skipped and the script ends.
on_two_hosts() {
    local name=$1 subnet=$2 ms=$3 loss=$4 slots=$5 needed i host
    export PATH=$PATH:/usr/sbin:/sbin
    for needed in mpirun ip python3; do
        command -v $needed >/dev/null || skip_hosts "$name" "there is no $needed"
    done
    [ -c /dev/net/tun ] || skip_hosts "$name" "there is no /dev/net/tun"
    one=driftline-$$-1 two=driftline-$$-2 link=
    ip netns add "$one" 2>why || skip_hosts "$name" "no right to make a network namespace: $(head -n 1 why)"
    trap remove_hosts EXIT
    ip netns add "$two"
    # In a chroot, for one.
    ip netns exec "$one" true 2>why || skip_hosts "$name" "a network namespace cannot be entered here: $(head -n 1 why)"
    python3 "$root/tests/cli/lossy_link.py" "$one" "$two" "$ms" "$loss" >link.out 2>&1 &
    link=$!
    for i in $(seq 100); do
        grep -q ready link.out && break
        sleep .1
    done
    grep -q ready link.out || skip_hosts "$name" "no link between namespaces: $(tail -n 1 link.out)"
    for i in 1 2; do
        host=driftline-$$-$i
        ip -n $host addr add "$subnet.$i/24" dev lossy
        ip -n $host link set lossy up
        ip -n $host link set lo up
    done
    printf '%s.1 slots=1\n%s.2 slots=%s\n' "$subnet" "$subnet" "$slots" >hosts
    cat >agent <<AGENT
#!/bin/bash
echo "\$1" >>agent.log
host=\$1
shift
exec ip netns exec "driftline-$$-\${host##*.}" bash -c "\$*"
AGENT
    chmod +x agent
}

skip_hosts() { # NAME WHY
    echo "ok - $1 # SKIP $2"
    exit "$failed"
}

remove_hosts() {
    [ -z "$link" ] || kill "$link" 2>/dev/null
    ip netns del "$one" 2>/dev/null
    ip netns del "$two" 2>/dev/null
    rm -rf "$work"
}
