#!/bin/bash
# test_parquet.sh - convert reads the columns of Parquet files: lists, numbers, several row groups; and refuses others.
# Needs: parquet
#
# tests/cli/parquet was written by hyparquet-writer 0.17.0. vectors.parquet: 60 rows in row groups of 25; id = 7 i (i64), emb =
# lists of 8 floats sin(8 i + j), x and y = doubles, a third of the first two of them, y without a value in the last row; title.
# ragged.parquet: a = lists of bytes, b = lists of doubles of two lengths.
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
cp "$root"/tests/cli/parquet/*.parquet .
if ! { command -v node && command -v npm; } >/dev/null; then
    echo "skipped: there is no npm, which fetches the reader"
    exit 0
fi
run convert vectors.parquet all.npy
check "the column of lists is found" '[ $status = 0 ] && grep -qx "all.npy: 60 rows x 8 f32" out'
check "its values are right, over several row groups" 'python3 - <<"PY"
import math, struct
bytes = open("all.npy", "rb").read()
rows = struct.unpack("<480f", bytes[-1920:])
assert all(abs(x - math.sin(i)) < 1e-6 for i, x in enumerate(rows))
PY'
run convert vectors.parquet id.ivecs --dataset id
check "a column of whole numbers" '[ $status = 0 ] && grep -qx "id.ivecs: 60 rows x 1 i32" out'
run convert vectors.parquet two.txt --dataset x,id
check "columns of two types are refused" '[ $status = 2 ] && grep -q "several columns make rows if each has numbers of one type: id (i8), emb (lists of f4)" err'
run convert ragged.parquet a.u8bin --dataset a
check "bytes stay bytes" '[ $status = 0 ] && grep -qx "a.u8bin: 2 rows x 3 u8" out && [ "$(tail -c 6 a.u8bin | od -An -tu1 | xargs)" = "1 2 255 3 4 5" ]'
run convert vectors.parquet y.txt --dataset x,y
check "a value that is not there is named" '[ $status = 2 ] && grep -q "vectors.parquet: column \"y\", row 59: there is no value" err'
run convert ragged.parquet b.fbin --dataset b
check "so is a list of another length" '[ $status = 2 ] && grep -q "column \"b\", row 1: 1 values; the rows before have 2" err'
run convert ragged.parquet b.fbin
check "one of two columns of lists has to be named" '[ $status = 2 ] && grep -q "name one by --dataset: a (lists of u1), b (lists of f8)" err'
run convert vectors.parquet t.fbin --dataset title
check "a text is refused" '[ $status = 2 ] && grep -q "column \"title\" has no numbers" err'
run convert vectors.parquet t.fbin --dataset nothing
check "a column that is not there is refused" '[ $status = 2 ] && grep -q "there is no column \"nothing\"; it has: id (i8)" err'
head -c 3000 vectors.parquet >cut.parquet
run convert cut.parquet t.fbin
check "a file that is cut off is refused" '[ $status = 2 ] && grep -q "cut.parquet" err'
: >empty.parquet
run convert empty.parquet t.fbin
check "so is an empty one" '[ $status = 2 ] && grep -q "empty.parquet" err'
check "nothing is left behind" '[ ! -e t.fbin ] && [ ! -e b.fbin ] && [ ! -e y.txt ] && [ -z "$(find . -maxdepth 1 -name "parquet.*")" ]'
DRIFTLINE_CACHE=$work/other DRIFTLINE_OFFLINE=1 run convert vectors.parquet t.fbin
check "without the network it says what is missing" '[ $status = 2 ] && grep -q "offline (DRIFTLINE_OFFLINE), and npm.s package hyparquet 1.33.0 is not there" err'
cat >config.lua <<'LUA'
local rows = file "vectors.parquet"
LUA
run check config.lua
check "a config says how to read one" '[ $status = 2 ] && grep -q "harness convert .*vectors.parquet vectors.fbin" err'
exit $failed
