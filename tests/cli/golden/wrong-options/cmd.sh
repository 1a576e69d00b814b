# Options that do not apply to the command, and values that they do not take.
# shellcheck shell=bash
run list --repeats 3
run compare --regression 5 --resume a b
run reproduce --in-process
run run --repeats none x.lua
run run --repeats
run run --quick=yes x.lua
run run --seed -1 x.lua
run run --threads 1025 x.lua
run run --timeout 0 x.lua
run run --memory-limit 4X x.lua
run run --memory-limit 1023K x.lua
run run --set nprobe x.lua
run compare --regression none a b
run convert --id none a.csv b.npy
run convert --header perhaps a.csv b.npy
