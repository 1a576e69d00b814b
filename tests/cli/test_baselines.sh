#!/bin/bash
# test_baselines.sh - the cache of baseline libraries: a library is stored completely or not at all,
# built by one process at a time, and verified. Needs no network.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

build=$PWD/src/build
. tests/cli/checks.sh
cd "$work" || exit 1
mkdir bin
export DRIFTLINE_CACHE=$work/cache
unset FAISS_PREFIX DRIFTLINE_PORTABLE

run() {
    "$@" >out 2>err
    status=$?
}
says() { grep -qF -- "$1" out err; }
left_over() { find cache/peers -mindepth 1 ! -name '*.lock' ! -name '*.log' | wc -l; }

# A baseline that fails while the file `broken` is there, and with `held` takes until another build waits for it.
cat >toy.sh <<SH
set -eu
. "$build/baseline-cache.sh"
build_baseline() {
    echo built >>$work/builds
    echo half >"\$1/half"
    [ ! -e $work/held ] || for _ in \$(seq 3000); do ! grep -q waiting $work/first $work/second || break; sleep 0.01; done
    [ ! -e $work/broken ] || fail "broken on purpose"
    echo '{}' >"\$1/build.json"
}
publish "\$peers/toy-1"
SH
touch broken
run bash toy.sh
check "a failed build leaves nothing behind" '[ $status != 0 ] && [ "$(left_over)" = 0 ] && says "broken on purpose"'
rm broken builds
touch held first second
bash toy.sh 2>first &
bash toy.sh 2>second
status=$?
wait
rm held
check "two at once: built once, both are served" \
    '[ $status = 0 ] && [ "$(wc -l <builds)" = 1 ] && [ -e cache/peers/toy-1/SHA256SUMS ]'
check "the one that waits says so" 'cat first second | grep -q "waiting for another build"'
run bash toy.sh
check "a third finds it made" '[ $status = 0 ] && [ "$(wc -l <builds)" = 1 ] && [ ! -s err ]'

rm -r cache/peers/toy-1/SHA256SUMS
run bash toy.sh
check "a folder without its checksums is not trusted" '[ $status = 0 ] && [ "$(wc -l <builds)" = 2 ]'
printf 'hole' >cache/peers/toy-1/half
run bash toy.sh
check "a file that changed is found, and all is built again" \
    '[ $status = 0 ] && says "half: FAILED" && [ "$(wc -l <builds)" = 3 ] && [ "$(cat cache/peers/toy-1/half)" = half ]'
check "what was there is kept aside" '[ "$(cat cache/peers/toy-1.bad/half)" = hole ]'
rm -r cache/peers/toy-1.bad

# What is linked into the program lies where nobody else can write, whatever the umask.
rm -r cache
(umask 0 && bash toy.sh) >out 2>err
check "nobody else can write what is built" '[ "$(find cache -perm /022 | wc -l)" = 0 ] && [ "$(stat -c %a cache)" = 700 ]'
chmod g+w cache
run bash toy.sh
check "a cache that others can write is refused" '[ $status != 0 ] && says "others may write the cache"'
chmod g-w cache
mv cache elsewhere
ln -s elsewhere cache
run bash toy.sh
check "a link instead of the cache is refused" '[ $status != 0 ] && says "not a link"'
rm cache
mv elsewhere cache
if [ "$(id -u)" = 0 ]; then
    chown 12345 cache
    run bash toy.sh
    check "a cache of somebody else is refused" '[ $status != 0 ] && says "not to you"'
    chown 0 cache
fi
mkdir -m 777 open
DRIFTLINE_CACHE=$work/open/cache run bash toy.sh
check "a cache that others could replace is refused" '[ $status != 0 ] && says "everybody may write the folder above"'
env -u DRIFTLINE_CACHE -u HOME -u XDG_CACHE_HOME bash toy.sh >out 2>err
status=$?
check "without HOME there is no cache" '[ $status != 0 ] && says "neither HOME nor XDG_CACHE_HOME is set"'

# An npm that delivers something else.
cat >bin/npm <<'SH'
#!/bin/sh
echo junk >hnswlib-node-3.0.0.tgz
SH
chmod +x bin/npm
rm -r cache
PATH=$work/bin:$PATH run "$build/baseline-hnswlib.sh"
check "a package with another sha256 is refused" '[ $status = 1 ] && says "sha256 is" && [ "$(left_over)" = 0 ]'
echo 'exit 1' >bin/npm
PATH=$work/bin:$PATH run "$build/baseline-hnswlib.sh"
check "a package that cannot be fetched names the log" '[ $status = 1 ] && says "could not fetch" && says ".log"'

cat >bin/npm <<'SH'
#!/bin/sh
echo junk >usearch-2.25.3.tgz
SH
PATH=$work/bin:$PATH run "$build/baseline-usearch.sh"
check "usearch with another sha256 is refused" '[ $status = 1 ] && says "sha256 is" && [ "$(left_over)" = 0 ]'

FAISS_PREFIX=$work/nowhere run "$build/baseline-faiss.sh"
check "a FAISS_PREFIX without the C API says what is missing" \
    '[ $status = 1 ] && says "libfaiss_c.so" && says "FAISS_ENABLE_C_API"'
run "$build/baseline-faiss.sh" --prefix
native=$(cat out)
DRIFTLINE_PORTABLE=1 run "$build/baseline-faiss.sh" --prefix
check "a portable build has a place of its own" '[ $status = 0 ] && [ "$(cat out)" != "$native" ]'
DRIFTLINE_CACHE="$work/a b" run "$build/baseline-faiss.sh" --prefix
check "a cache folder with a space is refused" '[ $status = 1 ] && says "no spaces"'

exit $failed
