#!/bin/bash
# test_older.sh - a finished result is never lost to a smaller or an unfinished run: it is
# moved to a folder older/.
# shellcheck disable=SC2012,SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
trap 'umount "$work/full" 2>/dev/null; rm -rf "$work"' EXIT
own_program

run() {
    "$program" --out r "$@" >out 2>err
    status=$?
}
cat >small.lua <<'LUA'
local s = synthetic { kind = "gaussian", rows = option("rows", 600, "rows"), dim = 8 }
experiment {
  name = "small", k = 5, repeats = 3,
  workload = function(w) w:insert { s, tag = "in" }; w:search { s:queries(20), tag = "q" } end,
  methods = { method { "flat" }, method { "flat", label = "again" } },
  figures = { { "bars", y = "recall@5", x = "label" } },
}
LUA
older() { ls -d r/small/older/*/ 2>/dev/null; }
n_older() { older | wc -l; }
all_of() { (cd "$1" && find . -path ./older -prune -o -type f ! -name .lock ! -name notes.txt -print0 | sort -z | xargs -0 sha256sum); }

run small.lua
echo 'mine' >r/small/notes.txt
all_of r/small >whole
cp r/small/result.json whole.json
check "a first run keeps nothing" '[ $status = 0 ] && [ ! -e r/small/older ]'
run small.lua
check "nor does one that takes its place" '[ $status = 0 ] && [ ! -e r/small/older ] && ! cmp -s r/small/result.json whole.json && ! grep -q older out err'
all_of r/small >whole
cp r/small/result.json whole.json

smaller() { # NAME WHY OPTION...
    local name=$1 why=$2
    shift 2
    run "$@" small.lua
    check "$name: the older one is kept, as it was, and both say where" \
        '[ $status = 0 ] && [ "$(n_older)" = 1 ] && all_of "$(older)" | cmp -s - whole && grep -q "kept in r/small/older/.*smaller ('"$why"').*--force" err && grep -q "^the finished result of an earlier run is kept in r/small/older/" out'
    check "$name: files that no run wrote stay" '[ -s r/small/notes.txt ] && [ ! -e "$(older)/notes.txt" ]'
    rm -rf r/small
    mkdir r/small
    cp -r saved/. r/small/
}
cp -r r/small saved
smaller "--quick" "--quick, 2 of its 6 cells" --quick
smaller "fewer repeats" "4 of its 6 cells" --repeats 2
smaller "--only" "3 of its 6 cells" --only flat
smaller "fewer rows" "320 of its 620 rows of all operations" --set rows=300
smaller "without figures" "--quick" --quick --set rows=600 --repeats 3 --no-plots
run --quick small.lua
kept=$(older)
check "the older one can be reported, drawn and compared" \
    '"$program" report "$kept" >out 2>err && "$program" plot "$kept" >>out 2>>err && "$program" compare --different "$kept" r/small >>out 2>>err'
run --quick small.lua
check "a second small run keeps nothing more: the first was no larger" '[ "$(n_older)" = 1 ]'
run small.lua
check "a large run takes the small one's place and leaves the older alone" '[ $status = 0 ] && [ "$(n_older)" = 1 ]'
rm -rf r/small/older
run --quick --force small.lua
check "--force replaces it" '[ $status = 0 ] && [ ! -e r/small/older ] && [ "$(grep -c "\"kept\": false" r/small/result.json)" = 2 ] && ! grep -q older out err'

# ---- a run of the same size and name, of something else
rm -rf r/small && cp -r saved r/small
other() { # NAME SED-SCRIPT
    sed "$2" small.lua >other.lua
    run other.lua
    check "$1: the older one is kept, as it was, and both say where" \
        '[ $status = 0 ] && [ "$(n_older)" = 1 ] && all_of "$(older)" | cmp -s - whole && grep -q "kept in r/small/older/.*because this run measures other data, operations or methods" err && grep -q "is kept in r/small/older/" out'
    rm -rf r/small
    cp -r saved r/small
}
other "other data" 's/dim = 8/dim = 8, seed = 7/'
other "other operations" 's/tag = "in"/tag = "load"/'
other "other methods" 's/again/other/'
sed 's/^experiment/-- A remark, and a line more\n&/; s/figures = .*//' small.lua >remark.lua
run --resume remark.lua
check "a remark and figures change no cell, and leave nothing to keep" '[ $status = 0 ] && [ ! -e r/small/older ] && grep -q "6 of 6 cells were kept" out'
sed 's/{ method { "flat" }/{ method { "flat", label = "first" }, method { "flat" }/' small.lua >more.lua
run --resume more.lua
check "a method more is measured, and the others are kept under their new numbers" \
    '[ $status = 0 ] && grep -q "6 of 9 cells were kept" out && [ "$(ls r/small/cells/*.json | wc -l)" = 9 ] && [ "$(ls r/small/cells/*.answers | wc -l)" = 9 ] && ! ls -d r/small/cells.* >/dev/null 2>&1'
mv r/small/cells r/small/cells.new # as a kill leaves it, between two renames
run --resume small.lua
check "so they are when it goes, and after a kill" '[ $status = 0 ] && grep -q "6 of 6 cells were kept" out'
rm -rf r/small && cp -r saved r/small

# ---- a run that does not finish
sed -e 's/"small"/"long"/' -e 's/600/20000/' -e 's/repeats = 3/repeats = 1000/' -e 's/dim = 8/dim = 64/' small.lua >long.lua
run --repeats 2 long.lua
cp r/long/result.json whole.json
finished() { # the finished result is in its place or beside
    cmp -s r/long/result.json whole.json || { [ "$(ls -d r/long/older/*/ | wc -l)" = 1 ] && cmp -s r/long/older/*/result.json whole.json && [ "$(ls r/long/older/*/cells/*.json | wc -l)" = 4 ]; }
}
stop_with() { # SIGNAL CONDITION
    "$program" --out r long.lua >out 2>err &
    local pid=$!
    for _ in $(seq 2000); do
        eval "$2" && break
        sleep 0.01
    done
    kill -"$1" $pid
    wait $pid
    status=$?
}
stop_with KILL '[ -e r/long/older ]'
check "kill -9 when it begins" finished
stop_with KILL 'sleep .0$RANDOM'
check "kill -9 some time later" finished
stop_with KILL '[ "$(ls r/long/cells/*.json | wc -l)" -ge 6 ]'
check "kill -9 when cells have run" finished
check "and nothing half-made is beside it" '[ ! -e r/long/older/.new ]'
rm -rf r/long
run --repeats 2 long.lua
cp r/long/result.json whole.json
stop_with INT '[ "$(ls r/long/cells/*.json | wc -l)" -ge 6 ]'
check "Ctrl-C: the finished one is kept beside what there is, and where is said" \
    '[ $status = 1 ] && finished && grep -q "^the finished result of an earlier run is kept in r/long/older/" out && grep -q "of 2000 cells have run" out && grep -q -- --resume err && python3 -m json.tool r/long/result.json >/dev/null'
run --resume --repeats 6 long.lua
check "what the older run measured is kept by --resume all the same" '[ $status = 0 ] && grep -q "cells were kept" out && finished'
rm -rf r/long

# Nothing is replaced before there is something to put in its place.
cat >none.lua <<'LUA'
local s = synthetic { kind = "gaussian", rows = 50000, dim = 256 }
experiment {
  name = "small", k = 5, repeats = 9,
  workload = function(w) w:insert { s }; w:search { s:queries(20000), tag = "q" } end,
  methods = { method { "flat" } },
}
LUA
rm -rf r/small && cp -r saved r/small
: >err # what is read there tells that it has begun
"$program" --out r none.lua >out 2>err &
pid=$!
for _ in $(seq 6000); do
    grep -q "results in r/small" err && break
    sleep 0.02
done
sleep 0.3
kill -INT $pid
wait $pid
status=$?
check "Ctrl-C before the first cell: all is as it was" '[ $status = 1 ] && [ ! -e r/small/older ] && all_of r/small | cmp -s - whole'

# ---- where a file cannot have two names, and on a full disk
cat >nolink.c <<'C'
#include <errno.h>
int link(const char *from, const char *to);
int link(const char *from, const char *to) { (void)from; (void)to; errno = EPERM; return -1; }
C
gcc -shared -fPIC -o nolink.so nolink.c
rm -rf r/small && cp -r saved r/small
if ! nm -D "$program" | grep -q "U __asan"; then
    LD_PRELOAD=$work/nolink.so run --quick small.lua
    check "it is copied" '[ $status = 0 ] && all_of "$(older)" | cmp -s - <(all_of saved)'
fi
mkdir full
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=4m,nr_inodes=100 tmpfs full 2>/dev/null; then
    cp -r saved full/small
    for i in $(seq 100); do : >"full/$i" 2>/dev/null || break; done
    rm -f full/small/scratch
    "$program" --out full --quick small.lua >out 2>err
    status=$?
    check "a disk without room for it: no run, and the result is as it was" \
        '[ $status != 0 ] && cmp -s full/small/result.json saved/result.json && grep -q "could not be kept; --force\|cannot be used" err'
    umount full
    mount -t tmpfs -o size=300k tmpfs full
    mkdir full/small && cp -r saved/cells saved/result.json full/small/
    "$program" --out full --no-plots --set rows=700 --repeats 500 small.lua >out 2>err
    status=$?
    check "a disk that fills half-way: the finished one is beside, and where is said" \
        '[ $status != 0 ] && grep -qi "space" err && grep -q "finished result of an earlier run is kept in full/small/older/" err && cmp -s full/small/older/*/result.json saved/result.json'
    check "what was measured is printed all the same" 'grep -q "recall@" out && ! grep -q "^results:" out'
fi
exit $failed
