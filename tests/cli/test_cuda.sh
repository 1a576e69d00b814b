#!/bin/bash
# test_cuda.sh - device = cuda and truth_device = cuda from the command line: on the emulated device, and the one line that
# says why there is none.
# shellcheck disable=SC2016,SC2034,SC2154,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
emulated=$root/build/release/libdriftline_cuda_emulated.so

cat >device.lua <<'LUA'
local data = synthetic { kind = "mixture", rows = 600, dim = 12, clusters = 9 }
experiment {
  name = option("folder", "device"), k = 10, truth_device = option("truth", "cuda"),
  workload = function(w)
    w:train { data:rows(1, 300) }
    w:insert { data, tag = "load" }
    w:search { data:queries(40), tag = "ask" }
  end,
  methods = {
    method { "flat" },
    method { "divf", params = { clusters = 8, device = option("device", "cuda") }, knobs = { nprobe = 8 } },
  },
}
LUA

summary() { # FOLDER LABEL METRIC: its median
    python3 - "$@" <<'PY'
import json, sys
folder, label, metric = sys.argv[1:]
summary = json.load(open(f"results/{folder}/result.json"))["summary"]
print(next(s["median"] for s in summary if s["label"] == label and s["metric"] == metric))
PY
}

export DRIFTLINE_CUDA_LIBRARY=/nowhere/libdriftline_cuda.so
run run --no-plots --out results --set device=cpu device.lua
check "a library that is not there ends the run before a cell" '[ $status = 2 ] || [ $status = 1 ]'
check "its error names the file and the remedy" 'grep -q "/nowhere/libdriftline_cuda.so" err && grep -q "^error: " err'
check "in one line" '[ "$(grep -c "error" err)" = 1 ]'
run bench cuda
check "bench cuda says so, too" '[ $status = 1 ] && grep -q "/nowhere/libdriftline_cuda.so" err'

if [ ! -e "$emulated" ]; then
    echo "ok - the emulated device # SKIP this build has no C++ compiler"
    exit $failed
fi
export DRIFTLINE_CUDA_LIBRARY=$emulated
run run --no-plots --out results --set folder=cuda device.lua
check "both run on the emulated device" '[ $status = 0 ] && ! grep -q unsupported out err'
check "the exact scan agrees with its truth" '[ "$(summary cuda flat recall@10/ask)" = 1.0 ]'
check "dynamic IVF finds all with every list probed" '[ "$(summary cuda divf recall@10/ask)" = 1.0 ]'
check "the result has what was transferred" 'grep -q "\"device_in_bytes\"" results/cuda/result.json'
check "and names the library" 'grep -rq "libdriftline_cuda_emulated.so" results/cuda/result.json'
run bench cuda
check "bench cuda ends well" '[ $status = 0 ]'
lines() { # NAME: the lines of the kernel in the table
    grep -c "^$1  .* \(memory\|SGEMM\|int8 products\|copies\) *[0-9.-]*$" out
}
for kernel in "nearest rows:1" "assignment:1" "list scan:1" "RaBitQ scan:2" "Hamming scan:4" "bounds of codes:1" \
    "rotation and signs:4" "step of training:1"; do
    check "and measures ${kernel%:*} against a limit" '[ "$(lines "${kernel%:*}")" = "${kernel#*:}" ]'
done
check "rotations on the device alone, too" '[ "$(grep -c "^rotation and signs .* on the device " out)" = 2 ]'
check "and warns that this is no GPU" 'grep -q "^warning: the kernels run on the processor" out'
run run --no-plots --out results --set n=3000 --set queries=400 "$root/configs/gpu/codes.lua"
check "codes are compared there with the same answers" '[ $status = 0 ] && [ "$(grep -c "cuda: range_recall/near = 1.0000, range_recall/far = 1.0000, recall@10/nearest = 1.0000" out)" = 2 ]'
rm -rf cache
unset DRIFTLINE_CUDA_LIBRARY
run run --no-plots --out results --set folder=cpu --set truth=cpu --set device=cpu device.lua
check "the processor's truth is the same" '[ $status = 0 ] && [ "$(summary cpu flat recall@10/ask)" = 1.0 ]'
run check --set truth=gpu device.lua
check "another device is refused" '[ $status = 2 ] && grep -q "truth_device.*cpu" err'
exit $failed
