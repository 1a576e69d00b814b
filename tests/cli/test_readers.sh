#!/bin/bash
# test_readers.sh - the examples of docs/other-programs.md that read a result: each has at most six lines, and prints a row for each
# method where its program is installed.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
run run --quick --no-plots --out results configs/examples/own_vectors.lua
run export results/own_vectors --out result.jsonl
check "a result is exported" '[ $status = 0 ] && [ -s result.jsonl ]'
awk '/^```(python|r)$/ { file = "example" ++n; next } /^```$/ { file = "" } file { print >file }' "$root/docs/other-programs.md"
check "there are four examples, of at most six lines" '[ "$(wc -l example? | grep -c "^ *[56] example")" = 4 ]'

reads() { # NAME EXAMPLE WHY-NOT PROGRAM...: whether the program can, by its own word
    local name=$1 example=$2 why=$3
    shift 3
    if [ "$why" ]; then
        echo "ok - $name reads it # SKIP $why"
        return
    fi
    "$@" "$example" >out 2>err
    status=$?
    check "$name reads it" '[ $status = 0 ] && grep -q "exact" out && grep -q "hnsw\[ef_search=64\]" out && ! grep -q "NaN\|NULL\| NA" out'
}
without() { # COMMAND...: prints why, if it fails
    "$@" >/dev/null 2>&1 || echo "not here: $*"
}
with() { # MODULE: the first Python that has it
    for python in python3 /usr/bin/python3; do
        "$python" -c "import $1" 2>/dev/null && break
    done
    echo "$python"
}
python=$(with pandas)
reads pandas example1 "$(without "$python" -c 'import pandas')" "$python"
python=$(with duckdb)
reads DuckDB example2 "$(without "$python" -c 'import duckdb')" "$python"
reads R example3 "$(without Rscript -e 'library(jsonlite)')" Rscript
reads Python example4 "" python3
exit $failed
