#!/bin/bash
# gather.sh - puts the parts of array.sbatch together, and writes the result and the figures. A cell that no part has measured is
# measured now. From the checkout:
#
#   configs/cluster/gather.sh CONFIG.lua
set -eu

for cells in results/parts/*/*/cells; do
    name=$(basename "$(dirname "$cells")")
    mkdir -p "results/$name/cells"
    cp "$cells"/* "results/$name/cells/"
done
exec ./harness run --resume "$@"
