# build saves an index, search opens it: what is printed, asked and refused.
export DRIFTLINE_KERNELS=scalar # the same sums on every processor
times='sed -E "s/^(batch +)[0-9]+/\1N/; s/[0-9.]+ us/N us/g"'
cat >small.lua <<'LUA'
local s = synthetic { kind = "mixture", rows = 2000, dim = 4 }
experiment {
  name = "small",
  workload = function(w)
    w:insert { s:rows(1, 1000), tag = "load" }
    w:search { s:queries(50), tag = "q" }
    w:delete { s:rows(1, 100), tag = "leave" }
  end,
  methods = {
    method { "flat", label = "exact" },
    method { "divf", label = "ivf", knobs = { nprobe = 2 }, grid = { clusters = { 8, 16 } } },
    method { "skeleton" },
    method { "faiss-hnsw", label = "kept", deletes = "filter" },
    method { "hftrie" },
  },
}
LUA
printf '%s\n' 0,0,0,1 1,0,2,0 -1,3,0,0 >q.csv
run build small.lua
run build small.lua --save x
run build small.lua --save x --method exakt
run build small.lua --save x --method skeleton
run build small.lua --save x --method hftrie
run build small.lua --save x --method kept
run build small.lua --save x --method ivf
run build small.lua --save x --method exact
run build small.lua --save ivf --method ivf --set ivf.clusters=8 --quiet
ls -A x ivf
mkdir other && echo mine >other/file
run build small.lua --save other --method exact
run build --resume small.lua --save x

FILTER=$times
run search x q.csv --k 3 --out true.ivecs
run search ivf q.csv --k 3 --truth true.ivecs
run search ivf q.csv --k 3 --truth true.ivecs --knob nprobe=8 --threads 2 --out a.csv
FILTER=
run convert true.ivecs true.csv
cmp true.csv a.csv && cat a.csv
ls -A x ivf

run search ivf q.csv --knob nprob=8
run search ivf q.csv --knob nprobe=0
run search ivf q.csv --knob nprobe
run search x q.csv --knob nprobe=1
run search ivf q.csv --k 0
run search ivf q.csv --truth true.ivecs
run search ivf q.csv --k 3 --truth nothing.ivecs
sed 's/\([0-9]\),/\1.5,/g' q.csv >floats.csv
run convert floats.csv floats.fvecs
run search ivf q.csv --k 3 --truth floats.fvecs
head -2 q.csv | sed 's/$/,7/' >wide.csv
run search ivf wide.csv
printf '0,0,0,nan\n' >nan.csv
run search ivf nan.csv --header no
run search ivf nothing.csv
run search ivf mnst:test
run search nowhere q.csv
run search other q.csv

cp -r ivf newer && sed -i 's/"driftline_index": 1/"driftline_index": 2/; s/"version": .*/"version": "9.0.0",/' newer/index.json
run search newer q.csv
cp -r ivf cut && sed -i 's/"version": .*/"version": "0.3.0",/' cut/index.json && truncate -s 64 cut/state-1/*
run search cut q.csv
cp -r ivf text && truncate -s 64 text/index.json
run search text q.csv
cp -r ivf away && sed -i 's/"state-1"/"..\/ivf\/state-1"/' away/index.json
run search away q.csv
cp -r ivf plugin && sed -i 's/"divf"/"mine"/; s/"plugin": null/"plugin": "mine.so"/' plugin/index.json
run search plugin q.csv
