#!/bin/bash
# test_failures.sh - methods that crash, hang, leak; a full disk; Ctrl-C and kill -9, then --resume.
# shellcheck disable=SC2012,SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
trap 'umount "$work/full" 2>/dev/null; rm -rf "$work"' EXIT
own_program

# A plugin that behaves as its one parameter says, once it is searched.
cat >wild.c <<'C'
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/index.h"
struct params { int64_t how; };
static const struct param params[] = { PARAM_INT(struct params, how, 0, 0, 9, "what goes wrong"), PARAM_END };
static const struct index_space spaces[] = { { INDEX_F32, INDEX_L2SQ }, INDEX_SPACES_END };
struct wild { struct index base; int64_t how; };
static int create(struct index **out, const struct index_env *env, const void *p)
{
    struct wild *w = calloc(1, sizeof *w);
    w->base.env = *env;
    w->how = ((const struct params *)p)->how;
    *out = &w->base;
    return OK;
}
static void destroy(struct index *index) { free(index); }
static int insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    (void)index; (void)ids;
    *done = v.n;
    return OK;
}
static int search(struct index *index, const struct search_request *q, struct search_result *r)
{
    struct wild *w = (struct wild *)index;
    volatile int *nowhere = NULL;
    switch (w->how) {
        case 1: *nowhere = 1; break;
        case 2: for (;;) sleep(1);
        case 3: for (;;) memset(malloc(1 << 24), 1, 1 << 24);
        case 4: return ERR_BASELINE;
        case 5: _exit(7);
    }
    /* Ten copies of one id, and one that was never there. */
    for (size_t i = 0; i < q->queries.n * q->k; i++) {
        r->ids[i] = i % q->k ? 0 : 999999;
        r->distances[i] = 0;
    }
    return OK;
}
static const struct index_ops ops = {
    .abi = INDEX_ABI, .name = "wild", .summary = "fails on purpose", .source = "a test", .spaces = spaces,
    .params = params, .params_bytes = sizeof(struct params), .create = create, .destroy = destroy, .insert = insert,
    .search = search,
};
const struct index_ops *driftline_plugin(void);
const struct index_ops *driftline_plugin(void) { return &ops; }
C
gcc -std=c11 -D_DEFAULT_SOURCE -shared -fPIC -I"$root" -I"$root/src" -o wild.so wild.c || exit 1

cat >wild.lua <<'LUA'
local s = synthetic { kind = "gaussian", rows = 500, dim = 8 }
local how = option("how", 0, "what goes wrong")
experiment {
  name = "wild", k = 5, timeout = 600,
  workload = function(w) w:insert { s }; w:search { s:queries(10), tag = "q" } end,
  methods = { method { "wild", params = { how = how } }, method { "flat", label = "after" } },
}
LUA
wild() { run --plugin ./wild.so --no-plots --out r --set how="$1" "${@:2}" wild.lua; }
cell() { # METHOD FIELD
    python3 -c "import json,sys
for c in json.load(open('r/wild/result.json'))['cells']:
    if c['method'] == '$1': print(c['$2'])"
}

wild 1
check "a crash is a cell's status, with its signal; the others ran" \
    '[ $status = 1 ] && [ "$(cell wild status)" = failed ] && cell wild error | grep -qi "sig\|segm" && [ "$(cell flat status)" = ok ]'
wild 2 --timeout 8
check "a hang is a time-out" '[ $status = 1 ] && [ "$(cell wild status)" = timeout ] && [ "$(cell flat status)" = ok ]'
wild 3 --memory-limit 600M
check "a leak is stopped at the limit" \
    '[ $status = 1 ] && [ "$(cell wild status)" = out-of-memory ] && [ "$(cell flat status)" = ok ]'
wild 4
check "an error return is recorded" '[ $status = 1 ] && [ "$(cell wild status)" = failed ] && [ "$(cell flat status)" = ok ]'
wild 5
check "an exit is recorded" '[ $status = 1 ] && [ "$(cell wild status)" = failed ] && [ "$(cell flat status)" = ok ]'
wild 0
check "ten copies of one id are one answer, the rest wrong ids" '[ $status = 0 ] && python3 -c "
import json
for c in json.load(open(\"r/wild/result.json\"))[\"cells\"]:
    if c[\"method\"] == \"wild\":
        s = [t for t in c[\"steps\"] if t[\"op\"] == \"search\"][0]
        assert s[\"recall\"][\"mean\"] <= 0.2, s
        assert s[\"wrong_ids\"] >= 40, s
"'
echo 'not an object' >nota.so
run --plugin ./nota.so list methods
check "a plugin that is none" '[ $status = 2 ] && grep -q nota.so err'
sed 's/\.abi = INDEX_ABI/.abi = 999/' wild.c >old.c
gcc -std=c11 -D_DEFAULT_SOURCE -shared -fPIC -I"$root" -I"$root/src" -o old.so old.c
run --plugin ./old.so list methods
check "a plugin of another ABI" '[ $status = 2 ] && grep -q "old.so: .* has ABI 999, this program (Driftline [0-9.]*) has ABI [0-9]*;" err'

# ---- stopped half-way, then resumed
cat >long.lua <<'LUA'
local s = synthetic { kind = "gaussian", rows = 20000, dim = 64 }
experiment {
  name = "long", k = 5, repeats = 400, -- more than are over by the time that the run is stopped
  workload = function(w) w:insert { s }; w:search { s:queries(300), tag = "q" } end,
  methods = { method { "flat" } },
}
LUA
stop_with() { # SIGNAL
    rm -rf r
    "$program" --no-plots --out r long.lua >out 2>err &
    local pid=$!
    for _ in $(seq 2000); do
        [ "$(ls r/long/cells/*.json 2>/dev/null | wc -l)" -ge 2 ] && break
        sleep 0.05
    done
    kill -"$1" $pid
    wait $pid
    status=$?
    done_before=$(ls r/long/cells/*.json | wc -l)
}
resumed() { # twenty repeats of it
    run --no-plots --out r --resume --repeats 20 long.lua
    kept=$(grep -c ": kept" err)
}
stop_with INT
check "Ctrl-C writes what was measured and says how to go on" \
    '[ $status = 1 ] && grep -q -- --resume err && python3 -m json.tool r/long/result.json >/dev/null'
resumed
check "--resume keeps the finished cells" '[ $status = 0 ] && [ $kept -ge 2 ] && [ $kept -ge $((done_before - 1)) ]'
check "and the result is whole" '[ "$(python3 -c "import json; print(len(json.load(open(\"r/long/result.json\"))[\"cells\"]))")" = 20 ]'
stop_with KILL
resumed
check "kill -9, then --resume" '[ $status = 0 ] && [ $kept -ge 1 ]'
check "no child outlives a killed run" '! pgrep -f "^$program" >/dev/null'
echo '{"broken' >"$(printf "%s\n" r/long/cells/*.json | head -n 1)"
resumed
check "a damaged cell is measured again" '[ $status = 0 ] && [ $kept = 19 ]'
run --no-plots --out r --resume --repeats 20 --set k=7 long.lua
check "a cell of another plan is not kept" '[ $status = 0 ] && ! grep -q ": kept" err'

# ---- a full disk
mkdir full
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=64k tmpfs full 2>/dev/null; then
    cp r/long/result.json before.json
    run --no-plots --out full --repeats 40 long.lua
    check "a full disk is said, with the file" '[ $status = 1 ] && grep -q "full/long" err && grep -qi "space" err'
    check "what was measured is printed all the same" 'grep -q "recall@" out && ! grep -q "^results:" out'
fi

exit $failed
