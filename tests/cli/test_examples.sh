#!/bin/bash
# test_examples.sh - every config of configs/examples runs, its claims hold, and together they use
# every operation and key. Every option of a method is set by a config.
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
program=$PWD/build/driftline
examples=$PWD/configs/examples
export DRIFTLINE_ROOT=$PWD DRIFTLINE_OFFLINE=1 NO_COLOR=1

run() { # CONFIG OPTION...: --quick only where the config has smaller sizes for it, as a quick run measures no claim
    local config=$1 quick=
    shift
    ! grep -qw quick "$config" || quick=--quick
    "$program" run $quick --allow-programs --repeats 1 --no-plots --out "$work/results" "$@" "$config" >"$work/out" 2>"$work/err"
    status=$?
}

check "every operation, key, view method, figure kind and metric is used by an example" \
    'python3 tests/cli/examples.py "$examples" >"$work/out" 2>"$work/err"'
mkdir "$work/fewer"
cp "$examples"/[!ru]*.lua "$work/fewer"
python3 tests/cli/examples.py "$work/fewer" >"$work/fewer/unused" 2>&1
for unused in "w: recover" "w: runbook" "w:range: repeated"; do
    check "without its example, $unused is missed" 'grep -qx "$unused" "$work/fewer/unused"'
done

check "every option of every method is set by a config" \
    'python3 tests/cli/options.py "$program" configs >"$work/out" 2>"$work/err"'
mkdir "$work/configs_but_one"
cp -r configs/* "$work/configs_but_one"
rm "$work/configs_but_one/hftrie/baselines.lua"
python3 tests/cli/options.py "$program" "$work/configs_but_one" >"$work/unset" 2>&1
check "without its config, the bits of MIH's keys are missed" 'grep -qx "mih: key_bits" "$work/unset"'

cd "$work" || exit 1
ln -s "$DRIFTLINE_ROOT/configs" "$DRIFTLINE_ROOT/build" . # external.lua names programs there
for config in "$examples"/*.lua; do
    name=${config##*/}
    check "$name opens with what it shows" 'head -n 1 "$config" | grep -q "^-- [A-Z0-9]"'
    if [ "$name" = dataset.lua ] && ! "$program" check "$config" >out 2>err; then
        echo "ok - $name # SKIP mnist is not on this machine"
        continue
    fi
    run "$config"
    check "$name runs" '[ $status = 0 ] && ! grep -q "cells failed" out err'
    [ "$name" = worked_example.lua ] || # measuring.md explains its claim that does not hold
        check "$name: its claims hold" '! grep -qE "^(does not hold|not reproduced) " out'
done

for kind in gaussian drift sphere uniform codes; do
    run "$examples/synthetic.lua" --set kind=$kind
    check "synthetic.lua: $kind" '[ $status = 0 ]'
done
for from in numbers codes signed; do
    run "$examples/files.lua" --set from=$from
    check "files.lua: $from" '[ $status = 0 ]'
done
run "$examples/hashes.lua" --set hash=phash
check "hashes.lua: phash" '[ $status = 0 ]'
"$program" plot results/figures >out 2>err
check "figures.lua: a figure of every kind" \
    '[ "$(find results/figures -name "*.svg" | wc -l)" = "$(grep -c "^FIGURE(" "$DRIFTLINE_ROOT/src/base/figures.def")" ]'

check "figures.lua: every drawn point is in a CSV" \
    '[ "$(find results/figures -name "*.csv" -size +0 | wc -l)" = "$(find results/figures -name "*.svg" | wc -l)" ]'
# Width and height of every page in points.
pages() {
    "$program" plot results/figures --style "$1" >out 2>err
    grep -aoh "MediaBox \[[^]]*" results/figures/*.pdf | cut -d" " -f5,6 | sort -u
}
for paper in "paper 240" "paper-wide 504"; do # 85 and 178 mm
    sizes=$(pages "${paper% *}")
    check "${paper% *}: as wide as its columns, with its letters" \
        '[ "$(echo "$sizes" | cut -d" " -f1 | sort -u)" = "${paper#* }" ] && ! grep -aL "/FontFile" results/figures/*.pdf | grep -q .'
done
cat >letters.py <<'PY'
import glob, re, zlib
for name in glob.glob("results/figures/*.pdf"):
    for part in re.findall(rb"stream\r?\n(.*?)endstream", open(name, "rb").read(), re.S):
        try:
            drawn = zlib.decompress(part)
        except zlib.error: # a font
            continue
        for matrix in re.findall(rb"([-\d.]+) ([-\d.]+) [-\d.]+ [-\d.]+ [-\d.]+ [-\d.]+ Tm", drawn):
            print(max(abs(float(number)) for number in matrix))
PY
python3 letters.py | sort -n >sizes
check "and letters of 7 to 8 points" 'awk "\$1 < 7 || \$1 > 8 { bad = 1 } END { exit bad || NR < 50 }" sizes'
slides=$(pages slides)
check "slides: 16:9, with their letters" \
    '[ "$slides" = "959 539" ] && ! grep -aL "/FontFile" results/figures/*.pdf | grep -q .'
"$program" plot results/figures --style pager >out 2>err
check "another style is refused" '[ $? = 2 ] && grep -q -- "--style" err'

exit $failed
