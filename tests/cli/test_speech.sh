#!/bin/bash
# test_speech.sh - the recipe speech on a few paragraphs: windows of speech by language and voice, the same bytes twice.
#
# The networks are those of the cache, else they are downloaded. Skipped without espeak-ng or npm (make deps-speech), or
# npm's registry.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
. tests/cli/recipes.sh
begin_recipe speech onnxruntime-web-1.23.2 espeak-ng node npm

# Help in German and English; of the other languages there is none. What is short, repeated or not translated is left out.
cat >write.py <<'PY'
import os, re
help = "packages/gnome-user-docs/usr/share/help/"
names = re.search(r"LANGUAGES = \[(.*?)\]", open("root/datasets/recipes/speech.js").read(), re.S).group(1)
for name in re.findall(r'"(\w+)', names):
    os.makedirs(help + name + "/gnome-help")
open("packages/gnome-user-docs/.complete", "w").write("43.0-2\n")
english = ["Press the %s button to open the window, then select <gui>%s</gui>." % (a, b) for a in ("red", "large", "other", "last") for b in ("one", "both", "all", "none")]
german = ["Drücken Sie zum Öffnen des Fensters die %s Taste und wählen Sie dann %s." % (a, b) for a in ("rote", "große", "andere", "letzte") for b in ("eins", "beide", "alle", "nichts")]
page = lambda texts: "<page><!-- <p>No text at all, only a comment of those who wrote it.</p> --><p>" + "</p><p>".join(texts) + "</p></page>"
open(help + "C/gnome-help/a.page", "w").write(page(english + ["Short."] + english[:3]))
open(help + "de/gnome-help/b.page", "w").write(page(german[8:] + ["Noch ein Satz " + "und noch ein Satz " * 40 + "am Ende."]))
open(help + "de/gnome-help/a.page", "w").write(page(german[:8] + english[:2]))
PY
python3 write.py
make_one
check "the recipe runs" '[ $status = 0 ]'

cat >look.py <<'PY'
import array, struct
PARAGRAPH = 128 * 80 # milliseconds
def rows(name):
    data = open("one/" + name, "rb").read()
    n, dim = struct.unpack("<2I", data[:8])
    flat = array.array("f", data[8:])
    assert dim == 96 and len(flat) == n * dim, name
    return [flat[i * dim:(i + 1) * dim] for i in range(n)]
def numbers(name): return list(array.array("q", open("one/" + name, "rb").read()))
def cosine(a, b): return sum(x * y for x, y in zip(a, b))
languages, voices = (open("one/" + name).read().split() for name in ("languages.txt", "voices.txt"))
base, times = rows("base.fbin"), numbers("time.i64")
query, asked = rows("query.fbin"), numbers("query-time.i64")
assert len(base) == len(times) == len(set(times)) > 700, len(base)
assert times != sorted(times) and all(t % 80 == 0 for t in times)
assert all(abs(cosine(v, v) - 1) < 1e-5 for v in base + query)
# Sixteen paragraphs in English, seventeen in German of which the last is cut; four voices each.
paragraphs = sorted({t // PARAGRAPH for t in times + asked})
assert paragraphs == list(range(33)), paragraphs
for prefix, at in ("", times), ("query-", asked):
    for t, language, voice in zip(at, numbers(prefix + "language.i64"), numbers(prefix + "voice.i64")):
        p = t // PARAGRAPH
        assert languages[language] == ("C" if p < 16 else "de"), (p, language)
        assert voice == (p * 4 // 16 if p < 16 else (p - 16) * 4 // 17) and len(voices) == 4, (p, voice)
# Queries are of a paragraph that the base does not have.
assert {t // PARAGRAPH for t in asked} == {12} and not [t for t in times if t // PARAGRAPH == 12]
# The second sentence begins as the first one: those windows are there once.
count = lambda p: sum(t // PARAGRAPH == p for t in times)
assert 0 < count(1) < count(0) / 2, (count(0), count(1))
# Neighbours in time are alike, more than rows in random order.
by_time = dict(zip(times, base))
def mean(pairs):
    found = [cosine(by_time[a], by_time[b]) for a, b in pairs if a in by_time and b in by_time]
    return sum(found) / len(found)
near, far = mean((t, t + 80) for t in times), mean(zip(times, times[1:]))
assert near > far + .1, (near, far)
PY
check "rows, times, languages, voices and queries" 'python3 look.py 2>err'

make_two 200000

mkdir bin
printf '#!/bin/sh\nhead -c 24 /dev/zero\nprintf "\\200\\076"\nhead -c 18 /dev/zero\n' >bin/espeak-ng
chmod +x bin/espeak-ng
check "speech of another rate is refused" \
    '! PATH="$work/bin:$PATH" root/datasets/recipes/speech three packages >out 2>err && grep -q "espeak-ng -v .*: 16000 samples per second, expected 22050" err'
exit $failed
