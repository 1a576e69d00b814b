#!/bin/bash
# test_environment.sh - HOME and the cache's variables absent, empty, relative, or of folders that cannot be written: every command works
# or says what is missing.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
export DRIFTLINE_MIN_TIME=0
cat >small.lua <<'LUA'
local data = synthetic { kind = "gaussian", rows = 300, dim = 8 }
experiment { name = "small", k = 5, workload = function(w) w:insert { data } w:search { data:queries(20), tag = "q" } end, methods = { method { "flat" } } }
LUA
awk 'BEGIN { srand(2); for (i = 0; i < 400; i++) { for (j = 0; j < 8; j++) printf "%s%.4f", j ? "," : "", rand(); print "" } }' >rows.csv
head -n 5 rows.csv >queries.csv

homeless() { # VARIABLE=VALUE... -- ARGUMENT...: as cron and systemd start programs
    local variables=()
    while [ "$1" != -- ]; do variables+=("$1") && shift; done
    shift
    env -i PATH="$PATH" DRIFTLINE_ROOT="$root" DRIFTLINE_OFFLINE=1 DRIFTLINE_MIN_TIME=0 "${variables[@]}" "$program" "$@" >out 2>err </dev/null
    status=$?
}
commands() { # VARIABLE=VALUE...: every command that can be run here, each of which ends with a status of its own
    local bad='' wanted line
    while read -r wanted line; do
        # shellcheck disable=SC2086  # a command line
        homeless "$@" -- $line
        [ "$status" = "$wanted" ] && ! grep -q "(null)" out err || bad="$bad [$line: $status]"
    done <<EOF
0 run --no-plots --out r small.lua
0 run --no-plots --resume --out r small.lua
0 run --no-plots --in-process --out in small.lua
0 check small.lua
0 build small.lua --save saved
0 search saved queries.csv --header no
0 inspect saved
0 list
0 list datasets
0 describe flat
0 convert rows.csv rows.npy --force
0 report r/small
0 dump r/small
0 compare r/small r/small
0 export r/small --out e.jsonl --force
0 version
0 help
EOF
    unusable=$bad
    homeless "$@" -- fetch sift1m
    [ "$status" = 1 ] || [ "$status" = 2 ] || unusable="$bad [fetch: $status]"
    fetched=$(cat err)
    homeless "$@" -- run --no-plots --force --out r small.lua
    printf '%s\n' "$unusable" "$fetched" >>out
}
where='set to a whole path; name a folder of your own with DRIFTLINE_CACHE'
for variables in "" "HOME= XDG_CACHE_HOME= DRIFTLINE_CACHE=" "HOME=. XDG_CACHE_HOME=relative"; do
    # shellcheck disable=SC2086  # variables, or none
    commands $variables
    check "with <$variables> every command works, or names DRIFTLINE_CACHE" '[ -z "$unusable" ] && echo "$fetched" | grep -q "$where"'
    check "and a run says that the ground truth is not kept" '[ $status = 0 ] && [ "$(grep -c "not kept for later runs: .*$where" err)" = 1 ] && ! [ -e .cache ] && ! [ -e relative ]'
done
homeless DRIFTLINE_CACHE=here/cache -- run --no-plots --force --out r small.lua
check "a relative DRIFTLINE_CACHE is a folder below this one" '[ $status = 0 ] && [ -d here/cache/truth ] && ! grep -q "not kept" err'

# A file is where a folder would have to be: as a folder that cannot be written, which root can.
: >file
commands HOME="$work/file"
check "where the cache cannot be made every command works, or names DRIFTLINE_CACHE" \
    '[ -z "$unusable" ] && echo "$fetched" | grep -q "file/.cache: cannot create the folder: .*; it is for the cache, name another with DRIFTLINE_CACHE"'
check "and a run goes on without, and says so" '[ $status = 0 ] && grep -q "not kept for later runs: .*name another with DRIFTLINE_CACHE" err'

"$program" run --no-plots --out closed small.lua <&- >&- 2>&-
status=$?
check "with no standard files open a run prints into no file of its own" '[ $status = 0 ] && [ -s closed/small/result.json ] && ! [ -s closed/small/.lock ]'
(ulimit -v 4000000 && exec "$program" run --no-plots --force --out r small.lua) >out 2>err
status=$?
check "a limited address space is named" '[ $status = 0 ] && grep -q "^warning: the address space is limited to 3906 MiB (ulimit -v)" err'

# ---- building: baselines need the cache
mkdir -p tree/src/build tree/bin && cp "$root"/src/build/*.sh tree/src/build/
printf '#!/bin/sh\nexit 0\n' >tree/src/build/deps.sh
for baseline in faiss hnswlib usearch; do # each is built if there is a place
    printf '#!/bin/bash\nset -u\n. "$(dirname "$0")/baseline-cache.sh"\n[ $# = 0 ] && echo "$cache/%s"; exit 0\n' $baseline >tree/src/build/baseline-$baseline.sh
done
configure() { # VARIABLE=VALUE...
    (cd tree && env -i PATH="$PATH" "$@" sh src/build/configure.sh) >out 2>err
    status=$?
}
configure LANG=C
check "without a place for baselines each one that is left out is named" \
    '[ $status = 0 ] && [ "$(grep -c "building without \(faiss\|hnswlib\|usearch\):" err)" = 3 ] && grep -q "HAVE_USEARCH := $" tree/build/config.mk && grep -q "$where" err'
configure HOME="$work"
check "with one they come back" '[ $status = 0 ] && ! grep -q "building without \(faiss\|hnswlib\|usearch\)" err && grep -q "HAVE_USEARCH := 1" tree/build/config.mk'
configure LANG=C
check "and they stay when a build is started without HOME" '[ $status = 0 ] && ! [ -s err ] && grep -q "HAVE_USEARCH := 1" tree/build/config.mk'
configure HOME="$work" DRIFTLINE_CACHE="$work/other"
check "and where a run has another cache: none is built twice" '[ $status = 0 ] && grep -q "isystem $work/.cache/driftline/faiss" tree/build/config.mk'

exit $failed
