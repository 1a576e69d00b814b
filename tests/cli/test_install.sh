#!/bin/bash
# test_install.sh - make install into a folder: driftline works from elsewhere without the sources, its manual page and completions
# are in their places, and make uninstall leaves no file.
# shellcheck disable=SC2013,SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
root=$PWD
export DRIFTLINE_CACHE=$work/cache DRIFTLINE_OFFLINE=1 DRIFTLINE_MIN_TIME=0 DRIFTLINE_KEEP_ENV=1 NO_COLOR=1
unset DRIFTLINE_ROOT DRIFTLINE_DATA DRIFTLINE_KERNELS PREFIX DESTDIR
mkdir "$work/elsewhere"
make --no-print-directory install DESTDIR="$work/dest" PREFIX=/opt/it >"$work/out" 2>"$work/err"
status=$?
cd "$work/elsewhere" || exit 1
cp ../out ../err .
check "make install ends well" '[ $status = 0 ]'
at=$work/dest/opt/it
program=$at/bin/driftline
files() { (cd "$work/dest" && find . -type f -o -type l | sort); }
files >../before

run
check "the program is called driftline" 'grep -q "^  driftline advise DATA " out && ! grep -q harness out'
run lst
check "in messages, too" 'grep -q "did you mean \"list\"?  (driftline help)" err'
run list configs
check "it finds its configs" 'grep -q "^configs/leaderboard.lua" out'
run list datasets
check "and its data sets" 'grep -q "^fashion-mnist " out'
run run --quick configs/examples/delete.lua
check "a config runs from another folder; the results are there, with figures where gnuplot is" \
    '[ $status = 0 ] && [ -s results/delete/result.json ] && { ! command -v gnuplot >/dev/null || [ -s results/delete/report.html ]; }'
run run --quick --no-plots --out elsewhere configs/examples/delete.lua
check "--out is another place" '[ $status = 0 ] && [ -s elsewhere/delete/result.json ]'
run run --quick --no-plots --out answer configs/examples/own_vectors.lua
check "in what a run prints, too" 'grep -q "with more settings: driftline advise DATA" out'
run new mine
check "a method cannot be made without the sources" '[ $status = 2 ] && grep -q "new: needs the sources" err'
ln -s "$program" ../link
program=../link run version
check "it works through a link" '[ $status = 0 ]'

for library in $(sed -n 's/^[0-9a-f]*  .*\/\(.*\.so\)$/\1/p' "$root/build/baselines.sha256"); do
    check "$library is beside the program, and is what it loads" \
        'ldd "$at/lib/driftline/driftline" >out && grep -qF "$library => $at/lib/driftline/$library" out'
done
check "the manual page is that of docs" 'zcat "$at/share/man/man1/driftline.1.gz" | cmp - "$root/docs/driftline.1"'
check "bash completes driftline" \
    '(. "$at/share/bash-completion/completions/driftline"; COMP_WORDS=(driftline rep) COMP_CWORD=1; _driftline; echo "${COMPREPLY[*]}") >out
     [ "$(cat out)" = "reproduce report" ]'
check "zsh and fish have theirs" \
    'head -n 1 "$at/share/zsh/site-functions/_driftline" | grep -q "^#compdef.* driftline" && [ -s "$at/share/fish/vendor_completions.d/driftline.fish" ]'
files >../after
check "running it writes nothing where it is installed" 'cmp ../before ../after'
check "nobody else can write there" '[ -z "$(find "$at" ! -type l -perm /022)" ]'

make -C "$root" --no-print-directory uninstall DESTDIR="$work/dest" PREFIX=/opt/it >out 2>err
check "make uninstall leaves no file, and no folder of its own" '[ -z "$(files)" ] && [ -z "$(find "$work/dest" -name "*driftline*")" ]'
make -C "$root" --no-print-directory install PREFIX=here >out 2>err
status=$?
check "a prefix that is not a whole path is refused" '[ $status != 0 ] && grep -q "expected a whole path" err && [ ! -e "$root/here" ]'
exit $failed
