#!/bin/bash
# test_page.sh - a report in a browser: no message on the console, every figure is shown, nothing is wider than a
# screen of 1280 or 390 pixels, columns sort by keyboard, and a print has all details open.
# Needs: browser
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program
browser=$(command -v chromium || command -v chromium-browser)
if [ -z "$browser" ]; then
    echo "ok - a report in a browser # SKIP no chromium"
    exit 0
fi

run "$root/configs/examples/figures.lua" --out r --quick
check "a result with figures" '[ $status = 0 ] && [ -s r/figures/report.html ]'

look() { # FILE: its document, once its scripts have run, in `dom`; messages of the console in `console`
    HOME=$work timeout 600 "$browser" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --allow-file-access-from-files --virtual-time-budget=20000 --enable-logging=stderr --dump-dom \
        "file://$PWD/$1" >dom 2>messages
    grep CONSOLE messages >console
}
look r/figures/report.html
check "a browser shows the page, and its console has no message" 'grep -q "</html>" dom && [ ! -s console ]'

# A copy without the policy, which measures itself in frames of both widths.
python3 - <<'PY'
import re
page = open("r/figures/report.html").read()
assert len(page) < 5e6, len(page)
open("r/figures/copy.html", "w").write(re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", page))
open("r/figures/frames.html", "w").write("""<!doctype html><body>
<iframe src="copy.html" width="1280" height="900" style="border:0"></iframe>
<iframe src="copy.html" width="390" height="900" style="border:0"></iframe>
<pre id="found"></pre><script>
onload = () => {
    const lines = [];
    for (const frame of document.querySelectorAll('iframe')) {
        const page = frame.contentDocument, window = frame.contentWindow;
        const images = [...page.images];
        const root = page.documentElement;
        lines.push(`width ${frame.width} fits ${root.scrollWidth <= root.clientWidth}`);
        lines.push(`images ${images.length} shown ${images.filter(i => i.naturalWidth > 0).length}`);
        const head = page.querySelectorAll('thead th')[0];
        head.focus();
        head.dispatchEvent(new window.KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
        lines.push(`sorted ${page.activeElement === head && head.ariaSort}`);
        window.dispatchEvent(new window.Event('beforeprint'));
        lines.push(`closed ${page.querySelectorAll('details:not([open])').length}`);
        window.dispatchEvent(new window.Event('afterprint'));
        lines.push(`closed again ${page.querySelectorAll('details:not([open])').length > 0}`);
        const image = [...page.images].find(i => i.parentNode.querySelector('button'));
        const button = image.parentNode.querySelector('button'), tip = image.parentNode.querySelector('.tip');
        const box = image.getBoundingClientRect(), texts = new Set();
        for (let y = box.top; y < box.bottom; y += 6)
            for (let x = box.left; x < box.right; x += 6) {
                image.dispatchEvent(new window.PointerEvent('pointermove', { clientX: x, clientY: y }));
                if (!tip.hidden)
                    texts.add(tip.textContent);
            }
        lines.push(`described ${[...texts].filter(t => t.startsWith(button.textContent) && t.includes('recall@')).length > 0}`);
        const before = image.src;
        button.click();
        lines.push(`hidden ${button.ariaPressed === 'false' && image.src !== before}`);
        lines.push(`links ${[...page.querySelectorAll('nav a[href^="#"]')].every(a => page.querySelector(a.hash))}`);
    }
    document.getElementById('found').textContent = lines.join('\\n');
};
</script></body>""")
PY
look r/figures/frames.html
sed -n '/<pre id="found">/,/<\/pre>/p' dom | sed 's/<[^>]*>//g' >out
figures=$(find r/figures -name '*.svg' | wc -l)
check "every figure is shown" '[ "$(grep -cx "images $figures shown $figures" out)" = 2 ]'
check "nothing is wider than 1280 pixels" 'grep -qx "width 1280 fits true" out'
check "nothing is wider than 390 pixels" 'grep -qx "width 390 fits true" out'
check "the Enter key sorts by the column" '[ "$(grep -cx "sorted ascending" out)" = 2 ]'
check "a print has all details open, and they close again" \
    '[ "$(grep -cx "closed 0" out)" = 2 ] && [ "$(grep -cx "closed again true" out)" = 2 ]'
check "a point is described below the pointer" '[ "$(grep -cx "described true" out)" = 2 ]'
check "a button hides a series" '[ "$(grep -cx "hidden true" out)" = 2 ]'
check "the contents lead to their sections" '[ "$(grep -cx "links true" out)" = 2 ]'
check "downloads lie beside the page" '(cd r/figures && for f in $(grep -o "download href=\"[^\"]*" report.html | cut -d\" -f2); do [ -s "$f" ] || exit 1; done)'

exit $failed
