#!/bin/bash
# test_strangers.sh - untrusted configs and results cannot run commands or write files when they are
# run, drawn or reported.
# Needs: browser
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
strangers=$PWD/tests/cli/strangers.py
own_program
export LC_ALL=C.UTF-8
mkdir "$work/run" "$work/home" && cd "$work/run" || exit 1
# Fonts are looked up once; what that writes is not to be found below.
export HOME=$work/home XDG_CACHE_HOME=$work/fonts

# ---- a config whose texts are commands
cat >config.lua <<'LUA'
local s = synthetic { kind = "gaussian", rows = 300, dim = 8 }
experiment {
  name = "named", title = "`touch pwned1` it's \"$(touch pwned2)\" 50 % {/Symbol a}", k = 5,
  workload = function(w) w:insert { s, tag = "`touch pwned3`" }; w:search { s:queries(10), tag = "@q'; !touch pwned4" } end,
  methods = { method { "flat", label = "`touch pwned5`" } },
}
LUA
run --out r config.lua
check "texts of a config run no command when they are drawn" \
    '[ $status = 0 ] && [ -s r/named/report.html ] && [ -z "$(find "$work" -name "pwned*")" ]'
check "and are drawn as typed" 'grep -qF "<text>\`touch pwned5\`</text>" r/named/*-bars-*.svg &&
    grep -qF "it'"'"'s \"\$(touch pwned2)\" 50 % {/Symbol a}</text>" r/named/*-pareto-*.svg'

# ---- gnuplot's own initialisation files: of the home, of the result's folder, named by the environment
for place in home/.gnuplot home/.config/gnuplot/gnuplotrc run/r/named/.gnuplot run/.gnuplot lib/draw.gp lib/bars.gp; do
    mkdir -p "$(dirname "$work/$place")"
    echo 'system("touch pwned6")' >"$work/$place"
done
XDG_CONFIG_HOME=$work/home/.config GNUPLOT_LIB=$work/lib GNUTERM='dumb; !touch pwned6' run plot r/named
check "gnuplot reads no initialisation file" '[ $status = 0 ] && [ -z "$(find "$work" -name "pwned*")" ]'
rm -rf r/named/.gnuplot .gnuplot "$work"/home/.[cg]*

# ---- results
PYTHONIOENCODING=utf-8 python3 "$strangers" "$program" "${DRIFTLINE_SEED:-20240229}" "${DRIFTLINE_ROUNDS:-8}" || failed=1

# ---- report: figures of the result's own folder only, as images, under a policy
cp -R r/named page
mkdir other
svg() { echo "<svg xmlns='http://www.w3.org/2000/svg'><script>alert('$1')</script><text>$1</text></svg>"; }
svg outside >other/x.svg
svg linked >other/y.svg
svg own >page/own.svg
ln -s ../other/y.svg page/link.svg
ln -s ../other page/folder
mkfifo page/pipe.svg
svg hidden >page/.hidden.svg
cp page/own.svg page/own.txt
figures() { # JSON: the figures of page/result.json
    python3 - "$1" <<'PY'
import json, sys
r = json.load(open("page/result.json"))
r["figures"] = json.loads(sys.argv[1])
json.dump(r, open("page/result.json", "w"))
PY
}
shown() { # prints what the page's images hold
    python3 - 2>/dev/null <<'PY'
import base64, re
page = open("page/report.html").read()
for data in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', page):
    print(base64.b64decode(data).decode())
print(page)
PY
}
figures '["../other/x.svg", "folder/x.svg", "'"$PWD"'/other/x.svg", "link.svg", "pipe.svg", ".hidden.svg", "own.txt", "none.svg", 7, null]'
run report page
check "figures outside the folder, links, pipes and other files are not read" \
    '[ $status = 0 ] && ! shown | grep -q "<text>" && [ "$(grep -c "A figure is not shown" page/report.html)" = 10 ]'
check "a refused figure is named" 'grep -q "link.svg" page/report.html && grep -q "pipe.svg" page/report.html'
figures '["own.svg"]'
run report page
check "an SVG with a script is an image, which runs none" \
    '[ $status = 0 ] && shown | grep -q "<text>own" && ! grep -q "alert(" page/report.html'
check "the page forbids what it does not need" 'python3 - <<PY
import base64, hashlib, re
page = open("page/report.html").read()
policy = re.search(r"<meta http-equiv=\"Content-Security-Policy\" content=\"([^\"]*)\">", page)
assert policy and policy.start() < page.index("<style>"), "no policy before the content"
allowed = dict(p.strip().split(" ", 1) for p in policy.group(1).split(";"))
hashed = lambda tag: "\x27sha256-%s\x27" % base64.b64encode(hashlib.sha256(
    re.search("<%s>(.*?)</%s>" % (tag, tag), page, re.S).group(1).encode()).digest()).decode()
assert allowed == {"default-src": "\x27none\x27", "base-uri": "\x27none\x27", "form-action": "\x27none\x27",
                   "img-src": "data:", "style-src": hashed("style"), "script-src": hashed("script")}, allowed
PY'
if browser=$(command -v chromium || command -v chromium-browser); then
    timeout 600 "$browser" --headless --no-sandbox --disable-gpu --dump-dom "file://$PWD/page/report.html" >dom 2>/dev/null
    check "a browser shows the page" 'grep -q "<td" dom && grep -q "data:image/svg" dom'
else
    echo "ok - a browser shows the page # SKIP no chromium"
fi

# ---- what plot would write through
cp -R r/named linked
echo precious >precious
for extension in svg csv gp log; do ln -sf ../precious "linked/01-bars-recall-5.$extension"; done
ln -sf ../precious "linked/100-old.svg"
run plot linked
check "plot writes through no link, and removes what it drew before" \
    '[ $status = 0 ] && [ "$(cat precious)" = precious ] && [ ! -L linked/01-bars-recall-5.svg ] && [ ! -e linked/100-old.svg ]'
cp -R r/named dotted
printf '#!/bin/sh\ntouch "%s/pwned7"\n' "$work" >dotted/gnuplot
chmod +x dotted/gnuplot
PATH=.:$PATH run plot dotted
check "a program in the folder is not taken for gnuplot" '[ $status = 0 ] && [ ! -e "$work/pwned7" ]'
rm page/result.json
mkfifo page/result.json
run report page
check "a pipe in place of a result is an error, not a wait" '[ $status = 2 ] && grep -q "not a regular file" err'

# ---- names that are no UTF-8, in what a result says of its own making
odd=$(printf 'odd\351 "`touch pwned8`"\n$(touch pwned9)')
mkdir "$odd"
cp config.lua "$odd/config.lua"
printf '1,2\n3,4\n5,6\n7,8\n' >"$odd/rows.csv"
cat >"$odd/file.lua" <<'LUA'
local f = file "rows.csv"
experiment { name = "file", k = 1, workload = function(w) w:insert { f }; w:search { f:rows(1, 2) } end, methods = { method { "flat" } } }
LUA
export GLIBC_TUNABLES=$odd
run --out "$odd/r" "$odd/config.lua" "$odd/file.lua"
unset GLIBC_TUNABLES
check "a folder with any name has configs, data and results" \
    '[ $status = 0 ] && python3 -m json.tool "$odd/r/named/result.json" >/dev/null && python3 -m json.tool "$odd/r/file/result.json" >/dev/null'
check "and what is written there runs nothing" '[ -z "$(find "$work" -name "pwned*")" ] && ! grep -q "[[:cntrl:]]" err'

# ---- an experiment's name becomes a folder
mkdir -p deep/er && cd deep/er || exit 1
refused=0 made=0
long=$(printf 'x%.0s' $(seq 101))
for name in ../up .. . .hidden / /tmp/x a/b '' ' ' 'a b' "$(printf 'a\nb')" "$(printf 'a\033[31m')" '`touch pwned9`' '$(id)' "a'b" 'a"b' "$long" \
    "$(printf 'caf\303\251')"; do
    run --no-plots --out folder --set name="$name" ../../config.lua
    [ $status = 2 ] && [ ! -e folder ] && refused=$((refused + 1))
done
check "names that are no plain file names are refused, and make nothing" \
    '[ $refused = 18 ] && [ "$(ls -A ..)" = er ] && [ "$(ls -A | sort | xargs)" = "err out" ]'
for name in -rf --out a..b A_1.2-x "${long%x}"; do
    run --no-plots --out made --set name="$name" ../../config.lua
    [ $status = 0 ] && [ -s "made/$name/result.json" ] && run report "made/$name" && [ $status = 0 ] && made=$((made + 1))
done
check "others are folders of that name" '[ $made = 5 ] && [ "$(ls -A made | wc -l)" = 5 ]'
cd ../.. || exit 1

# ---- numbers
for number in experiment.k=1e300 experiment.k=-1 experiment.k=0 experiment.repeats=1e300 experiment.threads=0.5 \
    experiment.seeds=99999999999 cells.repeat=1e300 cells.repeat=-5 recall.k=1e300; do
    rm -rf numbers
    cp -R r/named numbers
    python3 - "$number" <<'PY'
import json, sys
where, value = sys.argv[1].split("=")
r = json.load(open("numbers/result.json"))
part, name = where.split(".")
steps = [s for s in r["cells"][0]["steps"] if s.get("recall")]
{"experiment": r["experiment"], "cells": r["cells"][0], "recall": steps[0]["recall"]}[part][name] = json.loads(value)
json.dump(r, open("numbers/result.json", "w"))
PY
    refused=""
    for command in report plot "compare numbers"; do
        # shellcheck disable=SC2086  # two words
        run $command numbers
        [ $status = 2 ] && grep -q "expected a whole number from" err && refused="$refused $command"
    done
    check "report, plot and compare refuse $number" '[ "$refused" = " report plot compare numbers" ]'
done

exit $failed
