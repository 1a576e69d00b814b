#!/bin/bash
# test_unsupported.sh - what a method does not support: an exact method does not answer for it, and a run that measures
# nothing does not look like a success.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
export DRIFTLINE_MIN_TIME=0

# ---- a change that the harness left out: the index of an exact method has other rows than it should
cat >update.lua <<'LUA'
local data = synthetic { kind = "gaussian", rows = 500, dim = 8 }
local function search(w, tag) w:search { data:queries(60), tag = tag } w:range { data:queries(60), radius = 3, tag = tag .. "-near" } end
experiment { name = "update", k = 10,
  workload = function(w)
    w:insert { data:rows(1, 400) }
    search(w, "before")
    if option("commit", false) then w:begin() end
    w:update { ids = data:rows(1, 50), with = data:rows(401, 450), tag = "move" }
    if option("commit", false) then w:commit { tag = "commit" } end
    search(w, "after")
  end,
  methods = { method { "flat", deletes = "filter" }, method { "flat", label = "rebuilt", deletes = "rebuild" } } }
LUA
sed -i 's/ids = data:rows(1, 50)/random = 50/' update.lua
for commit in false true; do
    run run --no-plots --quiet --force --out r --set commit=$commit update.lua
    check "an exact method does not answer for an update that was left out (in a transaction: $commit)" '[ $status = 0 ] && python3 - <<PY
import json
cells = {c["label"]: c for c in json.load(open("r/update/result.json"))["cells"]}
assert {c["status"] for c in cells.values()} == {"ok"}, cells
for label, low in ("flat", True), ("rebuilt", False):
    at = {s.get("tag"): s for s in cells[label]["steps"]}
    assert at["before"]["recall"]["mean"] == 1, at
    assert (at["after"]["recall"]["mean"] < .99) == low and (at["after-near"]["range"]["recall"] < .99) == low, at
    lacking = "index does not hold what it should" in (at["after"].get("note") or "")
    assert lacking == low and "distances are not" not in (at["after"].get("note") or ""), at
PY'
done

# ---- nothing that can run
python3 - <<'PY'
import random, struct
random.seed(1)
for name, n in ("codes.u8bin", 200), ("q.u8bin", 20): # codes of 64 bits as others write them: 8 components of u8
    open(name, "wb").write(struct.pack("<II", n, 8) + bytes(random.getrandbits(8) for _ in range(8 * n)))
PY
cat >codes.lua <<'LUA'
local element = option("element", "")
if element == "" then element = nil end
local base, query = file { "codes.u8bin", element = element }, file { "q.u8bin", element = element }
experiment { name = "codes", workload = function(w) w:insert { base } w:range { query, radius = option("radius", 4) } end,
  methods = { method { "hftrie" }, method { "hamming-scan" }, option("flat", false) and method { "flat" } or nil } }
LUA
for command in check "run --no-plots --out none"; do
    run $command codes.lua
    check "${command%% *} of cells that cannot run is an error that says what they take" '[ $status = 2 ] && [ "$(grep -c "^error: codes.lua: no cell can run: " err)" = 1 ] && ! [ -e none ] &&
        grep -q "hftrie. does not take u8 rows under metric .l2.; it takes b64 under hamming; .*set element = .b64. where the file is named" err'
    run $command --set element=b64 --set radius=20 codes.lua
    check "${command%% *} of the same rows as codes is fine" '[ $status = 0 ]'
    rm -rf none
done
run run --no-plots --out r --set flat=true codes.lua
check "a run of which some cells can run goes on, and names the others in its last lines" '[ $status = 0 ] && tail -n 5 out | grep -c "^h.*, repeat 1: unsupported: method .* does not take u8" | grep -qx 2'

# ---- cells that run, and measure nothing that was asked for
cat >rangeless.lua <<'LUA'
local data = synthetic { kind = "gaussian", rows = 300, dim = 8 }
experiment { name = "rangeless",
  workload = function(w) w:insert { data } if option("ask", true) then w:range { data:queries(20), radius = 3, tag = "near" } end end,
  methods = { method { "symqg" }, option("flat", false) and method { "flat" } or nil } }
LUA
run run --no-plots --out r rangeless.lua
check "a run of which every search is unsupported is an error" '[ $status = 1 ] && grep -q "^error: rangeless.lua: no search was measured: every one is unsupported, as r/rangeless/result.json says" err'
run run --no-plots --out r --set flat=true rangeless.lua
check "one search that was measured is enough" '[ $status = 0 ]'
run run --no-plots --out r --set ask=false rangeless.lua
check "insertions are measurements where there is no search" '[ $status = 0 ]'

exit $failed
