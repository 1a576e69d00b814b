#!/bin/bash
# test_resume.sh - --resume keeps cells of the same program, plugin, kernels and settings, and marks
# them; for other cells it reports the reason.
# Needs: schema
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
export OMP_NUM_THREADS=1

run() {
    "$program" --no-plots --out r "$@" >out 2>err
    status=$?
}
field() { # PYTHON EXPRESSION over the result r
    python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "r/${config:-two}/result.json" "$1"
}

# A method that answers what it stored, or with WORSE the first row alone.
cat >plug.c <<'C'
#include <stdlib.h>
#include <string.h>
#include "core/index.h"
static const struct index_space spaces[] = { { INDEX_F32, INDEX_L2SQ }, INDEX_SPACES_END };
struct plug { struct index base; float *rows; size_t n, dim; };
static int create(struct index **out, const struct index_env *env, const void *p)
{
    struct plug *x = calloc(1, sizeof *x);
    (void)p;
    x->base.env = *env;
    *out = &x->base;
    return OK;
}
static void destroy(struct index *index) { free(((struct plug *)index)->rows); free(index); }
static int insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct plug *x = (struct plug *)index;
    (void)ids;
    x->dim = v.dim;
    x->rows = realloc(x->rows, (x->n + v.n) * v.dim * sizeof(float));
    memcpy(x->rows + x->n * v.dim, v.rows, v.n * v.dim * sizeof(float));
    x->n += v.n;
    *done = v.n;
    return OK;
}
static int search(struct index *index, const struct search_request *q, struct search_result *r)
{
    struct plug *x = (struct plug *)index;
    const float *queries = q->queries.rows;
    for (size_t i = 0; i < q->queries.n; i++) {
        size_t best = 0;
        double least = 1e300;
        for (size_t j = 0; j < (WORSE ? 1 : x->n); j++) {
            double d = 0;
            for (size_t c = 0; c < x->dim; c++) {
                const double e = queries[i * x->dim + c] - x->rows[j * x->dim + c];
                d += e * e;
            }
            if (d < least) { least = d; best = j; }
        }
        r->ids[i] = best; /* k is 1 */
        r->distances[i] = (float)least;
    }
    return OK;
}
static const struct index_ops ops = { .abi = INDEX_ABI, .name = "plug", .summary = "a plugin", .source = "a test",
    .spaces = spaces, .create = create, .destroy = destroy, .insert = insert, .search = search };
const struct index_ops *driftline_plugin(void);
const struct index_ops *driftline_plugin(void) { return &ops; }
C
build() { # WORSE
    gcc -std=c11 -D_DEFAULT_SOURCE -DWORSE="$1" -shared -fPIC -I"$root" -I"$root/src" -o plug.new plug.c && mv plug.new plug.so
}
cat >two.lua <<'LUA'
local s = synthetic { kind = "gaussian", rows = 500, dim = 8 }
experiment {
  name = "two", k = 1, repeats = 3,
  workload = function(w) w:insert { s }; w:search { s:queries(40), tag = "q" } end,
  methods = { method { "flat" }, method { "plug" } },
}
LUA

build 0
run --plugin ./plug.so two.lua
check "a run by a program" '[ $status = 0 ] && [ "$(field "r[\"run\"][\"kept\"]")" = 0 ] && ! grep -q "were kept" out'
check "each cell's file says by what" 'python3 -c "
import json, hashlib
for n in range(6):
    cell = json.load(open(\"r/two/cells/%d.json\" % n))
    identity = cell[\"identity\"]
    assert identity[\"program_sha256\"] == \"$(python3 "$root/tests/cli/elf.py" hash driftline)\"
    plugin = hashlib.sha256(open(\"plug.so\", \"rb\").read()).hexdigest()
    assert identity[\"plugin_sha256\"] == (plugin if cell[\"cells\"][0][\"method\"] == \"plug\" else None), identity
    assert any(name.startswith(\"libopenblas\") for name in identity[\"libraries\"]), identity
    assert identity[\"tunables\"][\"threads\"] == 1 and identity[\"tunables\"][\"OMP_NUM_THREADS\"] == \"1\", identity
r = json.load(open(\"r/two/result.json\"))
assert r[\"environment\"][\"identity\"][\"plugin_sha256\"] is None
assert all((\"identity\" in c) == (c[\"method\"] == \"plug\") for c in r[\"cells\"])
"'
keeps_to_schema r/two
run --plugin ./plug.so --resume two.lua
check "the same again: all is kept, and marked" \
    '[ $status = 0 ] && [ "$(field "[c[\"kept\"] for c in r[\"cells\"]].count(True)")" = 6 ] && grep -q "^6 of 6 cells were kept from an earlier run of this program" out'
"$program" report r/two >/dev/null
check "in the report too" 'grep -q "6 of 6 cells were kept" r/two/report.html'

build 1
run --plugin ./plug.so --resume two.lua
check "a rebuilt plugin is measured again, the rest is kept" \
    '[ $status = 0 ] && [ "$(field "r[\"run\"][\"kept\"]")" = 3 ] && [ "$(grep -c "\"plug\", repeat .*is measured again: plugin rebuilt" err)" = 1 ]'
check "and has its own recall" \
    '[ "$(field "[e[\"median\"] < .5 for e in r[\"summary\"] if e[\"label\"] == \"plug\" and e[\"metric\"] == \"recall@1/q\"]")" = "[True]" ]'

DRIFTLINE_KERNELS=scalar run --plugin ./plug.so --resume two.lua
if [ "$(field 'r["environment"]["kernels"]')" = scalar ] && ! "$program" version | grep -q "kernels *scalar"; then
    check "other kernels: nothing is kept, and it says so" \
        '[ $status = 0 ] && [ "$(field "r[\"run\"][\"kept\"]")" = 0 ] && grep -q "is measured again: .*kernels [a-z0-9]* -> scalar" err'
fi
run --plugin ./plug.so two.lua
OMP_DYNAMIC=true MALLOC_ARENA_MAX=1 run --plugin ./plug.so --resume two.lua
check "other tunables: nothing is kept" \
    '[ $status = 0 ] && [ "$(field "r[\"run\"][\"kept\"]")" = 0 ] && grep -q "OMP_DYNAMIC not set -> \"true\"" err && grep -q MALLOC_ARENA_MAX err'
run --plugin ./plug.so two.lua
is_kept() { # the same program with another name
    run --plugin ./plug.so --resume two.lua
    [ "$status" = 0 ] && [ "$(field 'r["run"]["kept"]')" = 6 ]
}
commit=$(field 'r["environment"]["build"]["git_commit"]')
if [ -n "$commit" ]; then
    python3 "$root/tests/cli/elf.py" replace "$program" "$commit" "${commit//?/a}"
    check "the program of another commit of the same code: all is kept" \
        'is_kept && "$program" version | grep -q "^commit aaaaaaaaaaaa" && [ "$(field "r[\"environment\"][\"build\"][\"git_commit\"]")" = "${commit//?/a}" ]'
fi
strip -g "$program"
check "a program without debugging information: all is kept" is_kept
# As a rebuild does: another constant.
python3 "$root/tests/cli/elf.py" replace "$program" "keep the finished cells of" "Keep the finished cells of"
run --plugin ./plug.so --resume two.lua
check "another program: nothing is kept" '[ $status = 0 ] && [ "$(field "r[\"run\"][\"kept\"]")" = 0 ] && grep -q "is measured again: program rebuilt" err'

run --plugin ./plug.so two.lua
echo 'no library' >libdriftline_cuda.so
run --plugin ./plug.so --resume two.lua
check "other kernels for the GPU: nothing is kept" '[ $status = 0 ] && [ "$(field "r[\"run\"][\"kept\"]")" = 0 ] && grep -q "is measured again: libdriftline_cuda.so (new)" err'

# A run killed at twenty random moments: what is finished is kept each time, and the last run does the rest.
seed=${SEED:-$$}
RANDOM=$seed
sed -e 's/"two"/"killed"/' -e 's/repeats = 3/repeats = 100/' -e 's/, method { "plug" }//' two.lua >killed.lua
finished() { # the numbers of the whole cells in r/killed
    python3 - <<'PY'
import glob, json, os
for path in sorted(glob.glob("r/killed/cells/*.json")):
    json.load(open(path)) # a cell is there whole, or not at all
    print(os.path.basename(path)[:-5])
PY
}
lost='' fewer='' shown=0
longest=200 # ms; more on a machine on which no cell finishes by then
: >before
for _ in $(seq 20); do
    : >err # what is read there tells that it has begun
    "$program" --no-plots --out r --resume killed.lua >out 2>err &
    pid=$!
    while ! grep -q "begins" err && kill -0 $pid 2>/dev/null; do # a moment after a cell has begun, if one is left
        sleep 0.02
    done
    ms=$((RANDOM % longest))
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    finished >now 2>>err || lost=yes
    [ -z "$(comm -23 <(sort before) <(sort now))" ] || lost=yes
    mv now before
    cells=$(config=killed field 'len(r["cells"])' 2>/dev/null || echo 0)
    [ "$cells" -ge "$shown" ] || fewer=yes
    shown=$cells
    [ -s before ] || longest=$((longest < 5000 ? 2 * longest : longest))
done
check "killed at 20 moments of seed $seed: no finished cell is lost ($(wc -l <before) of 100 finished)" '[ -z "$lost" ] && [ -s before ]'
check "result.json never has fewer cells than before" '[ -z "$fewer" ]'
config=killed
run --resume killed.lua
check "the last run keeps them all, and does the rest" \
    '[ $status = 0 ] && [ "$(field "r[\"run\"][\"kept\"]")" = "$(wc -l <before)" ] && [ "$(field "[c[\"status\"] for c in r[\"cells\"]].count(\"ok\")")" = 100 ]'

echo '{"broken' >r/killed/cells/7.json
run --resume killed.lua
check "a damaged cell is measured again" '[ $status = 0 ] && [ "$(field "r[\"run\"][\"kept\"]")" = 99 ] && grep -q "is measured again: its file is damaged" err'

# What a config reads is its own.
mkdir -p lib
echo 'return 40' >lib/shared.lua
sed -e 's/"two"/"lib"/' -e 's/s:queries(40)/s:queries(require "shared")/' -e 's/, method { "plug" }//' two.lua >lib.lua
config=lib
run lib.lua
echo 'return 40 -- the same' >lib/shared.lua
run --resume lib.lua
check "a remark in a file that the config requires: all is kept" '[ $status = 0 ] && [ "$(field "r[\"run\"][\"kept\"]")" = 3 ]'
echo 'return 41' >lib/shared.lua
run --resume lib.lua
check "other queries by that file: nothing is kept" \
    '[ $status = 0 ] && [ "$(field "r[\"run\"][\"kept\"]")" = 0 ] && grep -q "is measured again: .*workload$" err'
python3 - <<'PY'
import json
for path in "r/lib/cells/0.json", "r/lib/cells/2.json":
    cell = json.load(open(path))
    cell["cells"][0]["steps"][1]["per_second"] = 1
    json.dump(cell, open(path, "w"))
PY
"$program" compare r/lib r/lib >out 2>err
status=$?
check "compare refuses a stored cell that is not as in result.json" '[ $status != 0 ] && grep -q "r/lib/cells/0.json: was changed after result.json was written" err'
run --resume lib.lua
check "it is measured again" \
    '[ $status = 0 ] && [ "$(field "r[\"run\"][\"kept\"]")" = 1 ] && grep -q "is measured again: its file was changed after result.json was written" err'
check "both files are listed" '[ "$(field "[f[\"path\"] for f in r[\"experiment\"][\"config_files\"]]")" = "['"'lib.lua', 'lib/shared.lua'"']" ]'

# Whether configs/ and datasets/ are as committed is looked at when it runs.
mkdir checkout && cp -r "$root/datasets" "$root/configs" checkout/ && cp -r "$root/plots" checkout/
(cd checkout && git init -q . && git add -A && git -c user.name=t -c user.email=t@t commit -qm t) >/dev/null
config=lib
DRIFTLINE_ROOT=$work/checkout run lib.lua
before=$(field 'r["environment"]["build"]["git_dirty"]')
echo '-- more' >>checkout/configs/papers.txt
DRIFTLINE_ROOT=$work/checkout run lib.lua
check "a changed config makes the result dirty" '[ "$(field "r[\"environment\"][\"build\"][\"git_dirty\"]")" = True ]'
(cd checkout && git checkout -q . && touch datasets/new)
DRIFTLINE_ROOT=$work/checkout run lib.lua
check "so does a new file of datasets" '[ "$(field "r[\"environment\"][\"build\"][\"git_dirty\"]")" = True ]'
case $("$program" version) in
    *'(changed)'*) ;;
    *) check "and without either it is not" '[ "$before" = False ]' ;;
esac

exit $failed
