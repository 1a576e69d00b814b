#!/bin/bash
# test_long_life.sh - configs/lib/long_life.lua sees a decay that is planted, and one that levels off.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
mkdir lib
cp "$root"/configs/lib/{long_life,datasets}.lua lib

cat >forgetful.py <<EOF
import sys
sys.path.insert(0, "$root/configs/examples/external")
import client

class Forgetful(client.Exact):
    """Never answers some of its rows: at each insertion after the first, or at the second alone, one more in twenty."""
    batches = 0

    def create(self, request):
        super().create(request)
        self.lost, self.ever = set(), request.texts()[1] == "ever"

    def insert(self, request):
        super().insert(request)
        if self.batches == 1 or self.ever and self.batches:
            self.lost.update(row for row in self.live if (row * 7919 + self.batches) % 20 == 0)
        self.batches += 1

    def search(self, request):
        allows = request.allows
        request.allows = lambda row: row not in self.lost and allows(row)
        return super().search(request)

client.serve("forgetful 1", Forgetful())
EOF
cat >life.lua <<'EOF'
local function forgetful(label, how)
  return { "external", label = label, params = { command = "python3 forgetful.py", options = how }, work = "distances" }
end
require("long_life").experiment {
  data = synthetic { kind = "mixture", rows = 2000, dim = 8 }, set = "mixture", name = "random", leave = "random", about = "random rows leave",
  rows = 400, rounds = 27, asked = 50, min_time = 0,
  methods = { { "flat", work = "distances" }, forgetful("ever", "ever"), forgetful("once", "once") },
}
EOF
run run --no-plots --allow-programs --out r life.lua
holds() { # LABEL WORDS VERDICT: of the claim about the label with these words
    grep -qE "^$3 +\(ours\) $1: $2" out
}
check "it runs" '[ $status = 0 ]'
for claim in after "what is lost levels off" "stored rows"; do
    check "an exact index loses nothing: $claim" 'holds flat "$claim" holds'
done
check "what is lost at every insertion is seen" 'holds ever after "does not hold"'
check "and that it piles up" 'holds ever "what is lost levels off" "does not hold"'
check "and that stored rows are not found" 'holds ever "stored rows" "does not hold"'
check "what is lost once is seen" 'holds once after "does not hold"'
check "and that it levels off" 'holds once "what is lost levels off" holds'

cat >work.lua <<'EOF'
local function graph(label, name, deletes)
  return { name, label = label, params = { deletes = deletes }, sweep = { ef_search = { 10, 30, 100 } }, work = "distances" }
end
require("long_life").experiment {
  data = synthetic { kind = "sphere", rows = 5000, dim = 32 }, set = "sphere", name = "work", leave = "random", about = "random rows leave",
  rows = 1000, rounds = 27, share = 0.1, asked = 500, min_time = 0,
  methods = { graph("marks", "hnswlib", "mark"), graph("hnsw", "hnsw") },
}
EOF
run run --no-plots --out r work.lua
check "deletion marks make the same recall take more work" 'holds marks "then recall .95" "does not hold"'
check "links that are mended do not" 'holds hnsw "then recall .95" holds'

# Sweeps of one value, of several knobs, and of numbers that are not whole.
for swept in '"hnsw", sweep = { ef_search = { 12 } }' '"channi", sweep = { nprobe = { 2, 4 }, eps = { 0, 1 } }' '"divf", sweep = { target_recall = { 0.8, 0.95 } }'; do
    sed "s/methods = .*/methods = { { $swept } },/" life.lua >swept.lua
    run check swept.lua
    check "a method with $swept" '[ $status = 0 ]'
done

for leave in oldest newest; do
    sed "s/leave = \"random\"/leave = \"$leave\"/" life.lua >"$leave.lua"
    run run --no-plots --out r --only flat --only "flat, new" "$leave.lua"
    check "where the $leave rows leave" '[ $status = 0 ] && holds flat "stored rows" holds'
done

exit $failed
