#!/bin/bash
# test_saved.sh - an index that one process builds answers in another as it would in a run.
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program

awk 'BEGIN { srand(7); for (i = 0; i < 1240; i++) { for (j = 0; j < 8; j++) printf "%s%.4f", j ? "," : "", rand() + rand() * (i % 5); print "" } }' >all.csv
head -n 1200 all.csv >rows.csv
tail -n 40 all.csv >queries.csv
cat >all.lua <<'LUA'
local metric = option("by", "l2", "")
local data = file { "rows.csv", queries = "queries.csv", metric = metric, header = false }
experiment {
  name = "all",
  workload = function(w)
    w:train { data:rows(1, 1000) }
    w:insert { data:rows(1, 1000), tag = "load" }
    w:delete { data:rows(101, 300), tag = "leave" }
    w:update { random = 50, with = data:rows(1001, 1050), tag = "move" }
    w:search { data:queries(), tag = "q" }
    w:concurrent { data:queries(), writes = data:rows(1101, 1200), readers = 1, writers = 1, seconds = .1, tag = "both" }
    w:search { data:queries(), tag = "end" }
  end,
  methods = {
    method { "flat" }, method { "divf", params = { clusters = 16 } }, method { "ampi" }, method { "hnsw" },
    method { "spann", deletes = "rebuild" }, method { "spfresh" }, method { "channi" }, method { "asteria" },
  },
}
LUA
sed '/w:concurrent/,/tag = "end"/d; s/tag = "q"/tag = "end"/' all.lua >calm.lua

compare_with_run() { # METRIC METHOD...: the answers of `search` are those of the run's last search
    local metric=$1 method
    shift
    for method; do
        run run --no-plots --quiet --force --only "$method" --set by="$metric" --out r calm.lua
        run dump r/all
        sort -t "$(printf '\t')" -k5,5n -k6,6n out | awk -F '\t' '$4 == "end" { printf "%s%s", $7, $6 == 10 ? "\n" : "," }' >wanted
        run build calm.lua --save "$method.idx" --method "$method" --set by="$metric"
        check "$method, $metric: the index is saved" '[ $status = 0 ] && grep -q " 800 rows of 8 f32" out'
        run search "$method.idx" queries.csv --header no --out answers.csv
        check "$method, $metric: another process answers as the run did" '[ $status = 0 ] && [ "$(wc -l <wanted)" = 40 ] && cmp wanted answers.csv'
    done
}
compare_with_run l2 flat divf ampi hnsw spann spfresh channi
mkdir fixed
if [ "$(id -u)" = 0 ] && mount --bind channi.idx fixed 2>/dev/null; then
    mount -o remount,ro,bind fixed
    run search fixed queries.csv --header no --out answers.csv
    check "an index with files, where nothing can be written" '[ $status = 0 ] && cmp wanted answers.csv'
    TMPDIR=absent run inspect fixed
    check "nor temporary files" '[ $status = 2 ] && grep -q "fixed cannot be written, nor .* TMPDIR .*: absent: cannot create" err'
    umount fixed
fi
compare_with_run cosine asteria divf
{ head -n 2 queries.csv; echo 0,0,0,0,0,0,0,0; } >zero.csv
run search divf.idx zero.csv --header no --k 2
check "a query of zeros is refused under cosine" '[ $status = 2 ] && grep -q "zero.csv: 1 of 3 rows has only zeros.*: row 3; leave them out of the file" err'

# ---- every method that can be saved
cat >every.lua <<'LUA'
local name, codes, by = option("m", "flat", ""), option("codes", false, ""), option("by", "l2", "")
local data = codes and synthetic { kind = "codes", rows = 1000 } or synthetic { kind = "mixture", rows = 1000, dim = 16, clusters = 8, metric = by }
experiment { name = "every", workload = function(w) w:train { data:rows(1, 500) } w:insert { data:rows(1, 900) } end, methods = { method { name } } }
LUA
python3 -c 'import struct; open("codes.u8bin", "wb").write(struct.pack("<II8Q", 8, 8, *range(8)))
open("rows.fbin", "wb").write(struct.pack("<II128f", 8, 16, *range(128)))'
opened=0 refused=
for method in $("$program" list methods 2>/dev/null | sed -n '2,$s/ .*//p'); do
    [ "$method" != external ] || continue # a program of the user's own
    queries=rows.fbin codes=false
    "$program" describe "$method" 2>/dev/null | grep -q "^spaces:.* f32 " || queries=codes.u8bin codes=true
    for metric in l2 cosine; do
        run build every.lua --save "every-$method" --method "$method" --set m="$method" --set codes=$codes --set by=$metric
        [ $status != 0 ] || break
    done
    if [ $status != 0 ]; then
        refused="$refused$method: $(tail -n 1 err); "
        continue
    fi
    run search "every-$method" $queries --k 3 --out "every-$method.csv"
    check "$method: what build saves, search opens" '[ $status = 0 ]'
    run inspect "every-$method"
    check "$method: so does inspect" '[ $status = 0 ] || grep -q "shows no structure" err'
    left=896
    run update "every-$method" --delete 3,7,10-19 --insert $queries
    grep -q "cannot delete" err && left=908 && run update "every-$method" --insert $queries
    check "$method: update changes it" '[ $status = 0 ] && grep -q ": $method, $left rows;" out'
    run search "every-$method" $queries --k 50 --out "every-$method.csv"
    check "$method: and another process finds the new rows" '[ $status = 0 ] && [ "$(grep -cE "(^|,)90[0-7](,|$)" "every-$method.csv")" = 8 ]'
    opened=$((opened + 1))
done
check "most methods can be saved; not: $refused" '[ $opened -ge 16 ]'

# ---- updates
answers() { # FILE: what the index "changed" answers
    run search changed queries.csv --header no --out "$1"
}
seq 0 99 >ids.csv
head -n 20 all.csv >more.csv
run build calm.lua --save changed --method hnsw
answers before.csv
refuse() { # TEXT ARGUMENT...: the update fails, says why, and changes nothing
    local text=$1
    shift
    run update changed "$@"
    check "update $*: refused" '[ $status = 2 ] && grep -q -- "$text" err && [ "$(ls changed)" = "index.json
state-1" ]'
    answers after.csv
    check "and the index stays" 'cmp before.csv after.csv'
}
refuse "expected --insert FILE, --delete IDS"
refuse "^error: --delete 1,200: .*id 200 .* is not stored" --delete 1,200
refuse "both have id 5" --delete 5,1-9
refuse "is not stored" --delete 0-18446744073709551614
refuse "expected ids such as" --delete 9-3
refuse "expected ids such as" --delete ,
refuse "nowhere.csv: cannot open" --delete nowhere.csv
refuse "have dimension 16, the index has 8" --insert rows.fbin
printf '1,2,3,4,5,6,7,nan\n1,2,3,4,5,6,7,8\n' >nan.csv
refuse "nan.csv" --insert nan.csv --header no --delete 1
run search queries.csv changed
check "a file is no index" '[ $status = 2 ] && grep -q "queries.csv is a file; expected the folder of a saved index" err'
run update nowhere --delete 1
check "no index there" '[ $status = 2 ] && grep -q "nowhere has no saved index" err'
run update changed --delete ids.csv --insert more.csv --header no
check "rows go and come" '[ $status = 0 ] && grep -q "changed: hnsw, 720 rows; 100 deleted; 20 inserted, with ids 1000-1019" out'
run update changed --delete 300
check "a second update goes on from the first" '[ $status = 0 ] && grep -q "hnsw, 719 rows; 1 deleted" out && [ "$(ls changed)" = "index.json
state-3" ] && grep -q \"from\" changed/index.json'
run search changed more.csv --header no --k 1 --out answers.csv
check "the new rows are found" '[ $status = 0 ] && seq 1000 1019 | cmp answers.csv'
cp more.csv asked.csv
run search changed asked.csv --header no --out ./asked.csv
check "the answers do not replace the queries" '[ $status != 0 ] && grep -q "these are the queries" err && cmp more.csv asked.csv'
cp wanted wanted.csv
run search changed queries.csv --header no --truth wanted.csv
check "the config does not say its rows any more" '[ $status = 0 ] && grep -q "the index was updated after the build" out'
printf '300\n1000\n' >gone.csv # deleted, and live
head -2 queries.csv >two.csv
run search changed two.csv --header no --k 1 --truth gone.csv
check "a deleted id is absent" '[ $status = 0 ] && grep -q "^absent *1 of the 2 true ids" out'
cp -r changed slow # an update replaces it while a search waits for a pipe in place of its file
mv slow/state-3 slow/state-4
mkdir slow/state-3 && mkfifo slow/state-3/hnsw.index
elsewhere= # as in another container, which knows no process of this one
unshare -pf --mount-proc true 2>/dev/null && elsewhere="unshare -pf --mount-proc"
$elsewhere "$program" search slow more.csv --header no --k 1 --out answers.csv >out 2>err &
until ls slow/cell-* >/dev/null 2>&1; do # made after index.json was read
    sleep .01
done
kept=$(echo slow/cell-*)
timeout 1 "$program" inspect slow >/dev/null 2>&1
check "another search leaves it its files" '[ -d "$kept" ]'
sed 's/state-3/state-4/' changed/index.json >slow/index.json.new
mv slow/index.json.new slow/index.json
mv slow/state-3 pipe
exec 3<>pipe/hnsw.index 3>&-
wait $!
status=$?
check "an index that is replaced while a search opens it" '[ $status = 0 ] && seq 1000 1019 | cmp answers.csv'
for seconds in .001 .003 .005 .01 .02 .05; do # a killed update leaves the index before it or after it
    rows=$(grep -o '"rows": *[0-9]*' changed/index.json)
    { timeout -s KILL $seconds "$program" update changed --insert more.csv --header no >out 2>&1; } 2>/dev/null
    now=$(grep -o '"rows": *[0-9]*' changed/index.json)
    run search changed more.csv --header no --out answers.csv
    check "killed after $seconds s: the index is whole" '[ $status = 0 ] && [ $((${now##* } - ${rows##* })) = 0 -o $((${now##* } - ${rows##* })) = 20 ]'
done
for file in changed/state-*/live_ids; do # a killed update may have left its folder
    printf x >>"$file"
done
run update changed --delete 5
check "a longer list of ids is refused" '[ $status = 2 ] && grep -q "live_ids: the file is damaged" err'
for file in changed/state-*/live_ids; do
    printf x | dd of="$file" bs=1 seek=20 conv=notrunc 2>/dev/null
done
run update changed --delete 5
check "a damaged list of ids is refused" '[ $status = 2 ] && grep -q "live_ids: the file is damaged" err'
rm changed/state-*/live_ids
run update changed --delete 5
check "an index of before has no list of ids" '[ $status = 2 ] && grep -q "an index that an earlier version saved has none" err'

# ---- more threads than processors
cat >threads.lua <<'LUA'
local data = synthetic { kind = "gaussian", rows = 300, dim = 8 }
local methods = {}
for _, name in ipairs { "flat", "divf", "hnsw", "hnswlib", "usearch", "faiss-hnsw" } do methods[#methods + 1] = method { name } end
experiment { name = "threads", k = 5, threads = 8,
  workload = function(w)
    w:insert { data, tag = "load" } w:save {} w:reload {} w:search { data:queries(1500), tag = "b" }
  end, methods = methods }
LUA
run run --no-plots --out r threads.lua
check "a reloaded index answers more threads than there are processors" '[ $status = 0 ]'

run build all.lua --save written --method spfresh
check "writers of a concurrent operation are part of the workload" '[ $status = 0 ] && grep -q "900 rows" out && grep -q "5 operations; searches skipped: 2" err'

# ---- a build that ends early
run build calm.lua --save kept --method flat
run search kept queries.csv --header no --out before.csv
mkdir kept/state-7 && echo half >kept/state-7/file
run build calm.lua --save kept --method hnsw --timeout 0.000001
check "a build that does not end says why" '[ $status = 1 ] && grep -q "took longer than" err'
run search kept queries.csv --header no --out after.csv
check "and the index before it stays" '[ $status = 0 ] && cmp before.csv after.csv && [ "$(cd kept && ls -d state-*)" = state-1 ]'
run build calm.lua --save kept --method hnsw
check "the next build replaces it" '[ $status = 0 ] && [ "$(cd kept && ls)" = "index.json
state-2" ] && grep -q hnsw kept/index.json'
check "and says what it replaces" 'grep -q "^kept: replaces an index of flat with 800 rows" err'
run update kept --delete 300
run build calm.lua --save kept --method flat
check "it warns where updates go" '[ $status = 0 ] && grep -q "^warning: kept: replaces an index of hnsw with 799 rows, and what 1 update changed" err'
python3 - <<'PY' &
import fcntl, time
lock = open("kept/.lock", "r+")
fcntl.lockf(lock, fcntl.LOCK_EX)
open("locked", "w").close()
time.sleep(60)
PY
locker=$!
for _ in $(seq 100); do [ -e locked ] || sleep .1; done
run build calm.lua --save kept --method flat
check "one build at a time" '[ $status = 1 ] && grep -q "process $locker is writing" err'
kill $locker

# ---- codes, bytes, and one search option after the other
cat >codes.lua <<'LUA'
local codes = synthetic { kind = "codes", rows = 1000 }
experiment { name = "codes", workload = function(w) w:insert { codes } end, methods = { method { "hftrie" } } }
LUA
run build codes.lua --save codes.idx
head -c 80 /dev/urandom >codes.b64
python3 - <<'PY'
import struct
data = open("codes.b64", "rb").read()
open("q.u8bin", "wb").write(struct.pack("<II", 10, 8) + data)
PY
run search codes.idx q.u8bin --k 2 --out found.ivecs
check "eight bytes are a code" '[ $status = 0 ] && grep -q "1000 rows of 64 b64, metric hamming" out && [ "$(stat -c %s found.ivecs)" = 120 ]'
run search codes.idx queries.csv --header no
check "floats are not" '[ $status = 2 ] && grep -q "the queries" err'

exit $failed
