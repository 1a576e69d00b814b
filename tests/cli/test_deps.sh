#!/bin/bash
# test_deps.sh - src/build/deps.sh against a simulated system: installed
# packages, messages, exit status.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

deps=$PWD/src/build/deps.sh scripts=$PWD/tests/cli
. tests/cli/checks.sh
mkdir "$work/bin"
cd "$work" || exit 1

# The fakes read what to be from files: `installed` (packages), `uid`, `sudo` (exit status), `apt` (how many
# installations fail first). What they are asked to do goes to `calls`.
fake() {
    cat >"bin/$1"
    chmod +x "bin/$1"
}
fake dpkg-query <<'SH'
#!/bin/sh
sed "s/.*/installed:& /" installed | tr -d '\n'
SH
fake id <<'SH'
#!/bin/sh
cat uid
SH
fake sudo <<'SH'
#!/bin/sh
[ "$(cat sudo)" = 0 ] || exit 1
[ "$1" = -n ] && shift
[ "$*" = true ] || echo "sudo" >>calls
exec "$@"
SH
fake apt-get <<'SH'
#!/bin/sh
echo "apt-get $*" >>calls
case " $* " in *" update "*) exit 0 ;; esac
case " $* " in *" $(cat absent) "*) echo "E: no such package"; exit 100 ;; esac
left=$(cat apt)
[ "$left" = 0 ] || { echo $((left - 1)) >apt; echo "E: no such package"; exit 100; }
for word; do case $word in -* | install | *=*) ;; *) echo "$word" >>installed ;; esac; done
SH

all="pkg-config liblua5.4-dev libopenblas-dev libjansson-dev libyaml-dev zlib1g-dev libxxhash-dev libssl-dev
g++ cmake npm libhdf5-dev liburing-dev librocksdb-dev libopenmpi-dev gnuplot-nox fonts-dejavu-core curl ca-certificates dataset-fashion-mnist"

# Whether programs like npm happen to be on this machine must not matter, so PATH has only the basics.
for tool in sh sed tr cut cat paste mkdir env printf tail dirname true; do
    ln -s "$(type -P $tool)" "bin/$tool"
done

system() { # UID SUDO APT-FAILURES WITHOUT...
    echo "$1" >uid
    echo "$2" >sudo
    echo "$3" >apt
    echo none >absent
    shift 3
    echo "$all" | tr -s " \n" "\n" >installed
    for package; do grep -vxF "$package" installed >some && mv some installed; done
    : >calls
}
run() { # VARIABLE=VALUE... [GROUP]
    env -i PATH="$work/bin" HOME="$work" "$@" >out 2>err
    status=$?
}
says() { grep -qF -- "$1" out err; }

system 0 1 0
run "$deps"
check "nothing missing: silent and done" '[ $status = 0 ] && [ ! -s out ] && [ ! -s err ] && [ ! -s calls ]'

system 0 1 0 libjansson-dev gnuplot-nox
run DRIFTLINE_NO_INSTALL=1 "$deps"
check "NO_INSTALL prints just the command" \
    '[ "$(cat out)" = "apt-get install -y --no-install-recommends libjansson-dev gnuplot-nox" ]'
check "NO_INSTALL says what each is for" 'says "libjansson-dev (results are JSON)"'
check "NO_INSTALL touches nothing" '[ ! -s calls ]'
check "NO_INSTALL fails when something needed is missing" '[ $status = 1 ]'

system 0 1 0 gnuplot-nox
run DRIFTLINE_NO_INSTALL=1 "$deps"
check "NO_INSTALL, only figures missing: its own status" '[ $status = 3 ]'

system 1000 1 0 libjansson-dev
run "$deps"
check "neither root nor sudo: one line with the command" \
    '[ "$(grep -c "have an administrator run: apt-get install" err)" = 1 ] && [ $status = 1 ] && [ ! -s calls ]'

system 1000 0 0 libjansson-dev
run "$deps"
check "not root, but sudo" '[ $status = 0 ] && grep -qx sudo calls && grep -q "apt-get .*install.* libjansson-dev" calls'
check "says what it installs and why" 'says "installing: libjansson-dev" && says "results are JSON"'

system 0 1 0 libjansson-dev zlib1g-dev
run "$deps"
check "root: only what is missing, no recommended extras" \
    '[ $status = 0 ] && grep -qE "install -y --no-install-recommends libjansson-dev zlib1g-dev$" calls && ! grep -qx sudo calls'

system 0 1 1 libjansson-dev
run "$deps"
check "a failed installation is tried again with fresh lists" \
    '[ $status = 0 ] && [ "$(grep -c " install " calls)" = 2 ] && grep -q "apt-get update" calls'

system 0 1 9 libjansson-dev
run "$deps"
check "an installation that keeps failing names its log" '[ $status = 1 ] && says "build/deps.log" && says "no such package"'

system 0 1 0 libjansson-dev dataset-fashion-mnist
echo dataset-fashion-mnist >absent
run "$deps"
check "a package that does not exist costs only itself" \
    '[ $status = 3 ] && grep -qx libjansson-dev installed && says "could not install dataset-fashion-mnist"'

system 0 1 0
run "$deps" test
check "groups are apart" '[ $status = 0 ] && grep -q " libcmocka-dev" calls && ! grep -q jansson calls'

groups=$(sed -n 's/^# Needs: //p' "$scripts"/test_*.sh | tr ' ' '\n' | sort -u)
check "scripts name what they need" '[ "$(echo $groups)" = "browser network parquet schema slurm" ]'
# shellcheck disable=SC2086  # a list of groups
run DRIFTLINE_NO_INSTALL=1 "$deps" $groups
check "and deps.sh knows it" '[ $status != 2 ] && says "python3-jsonschema" && says "slurmctld" && says "chromium" && says "iproute2"'
bare=$(cd "$scripts" && grep -lE 'jsonschema|keeps_to_schema|same_result|hosts\.sh|slurmctld|chromium' test_*.sh | grep -v test_deps | xargs grep -L '^# Needs: ')
check "no script needs what it does not name" '[ -z "$bare" ]'

run "$deps" tests
check "an unknown group is refused" '[ $status = 2 ] && says "unknown group"'

exit $failed
