"""strangers.py - untrusted results, drawn and reported by the program.

    strangers.py PROGRAM SEED ROUNDS      one TAP line for each check

Strings are random characters with a meaning in gnuplot, HTML, CSV or a shell, and a list of known
attacks. For every string the program must run no command, change no file except its own output, and
show the text as it was written.
"""
import csv, html.parser, json, os, random, re, subprocess, sys, unicodedata
import xml.etree.ElementTree as tree

program, seed, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ATTACKS = [
    "`touch pwned`", "$(touch pwned)", "@pwn", "'.system('touch pwned').'", '".system("touch pwned")."',
    "x'; system 'touch pwned'; y='", '"; !touch pwned; "', "| touch pwned", "< touch pwned", "\\140touch pwned\\140",
    "a\n!touch pwned\nb", "a\nsystem('touch pwned')\n", "line\r\n1,1,7,7,7,7,0,0", "x\"\",9,9,\"y", "'", "''", '"', '""',
    "\\", "\\\\", "end\\", "\\n", "\\\"", "{/Symbol a}", "{", "}", "a_{b}^c", "&{x}", "~a{b}", "50 % of %s %d %n %g", "%",
    "#", "# comment", "a#b", "]]>", "x[y[1]]>0", "<!--", "-->", "<![CDATA[", "&lt;", "&amp;amp;", "&#65;", "&x;",
    "<script>alert(1)</script>", "</script><script>alert(1)//", "\"><img src=x onerror=alert(1)>", "' onload='alert(1)",
    "</text><script>alert(1)</script>", "javascript:alert(1)", "../../x", "-e", "--", "$PATH", "~", "*", "\u202eabc",
    "\u00fcn\u00ef c\u00f6d\u00e9 \u20ac", "\u65e5\u672c", "\U0001f600", "\x01\x1b[31mred\x7f", "\x9b31m", "%%", "@", "`", "$",
    "50%" + 60 * "long",
]
NASTY = "`$@\\\"'{}%#&<>|;()[]!~^_*?=+-.,:/ \n\t\r\x01\x1b\x7f\u0085\u00e9\u20ac\U0001f600" + "aZ09"
failed = False


def check(name, ok, why=""):
    global failed
    failed |= not ok
    print(("ok - " if ok else "not ok - ") + name + ("" if ok else ": " + why), flush=True)


def text(rng):
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(ATTACKS)
    if kind == 1:
        return rng.choice(ATTACKS) + rng.choice(ATTACKS)
    return "".join(rng.choice(NASTY) for _ in range(rng.randrange(1, 60)))


def plain(s):
    """What a drawing shows of a text: control characters are spaces."""
    return "".join(" " if unicodedata.category(c) == "Cc" else c for c in s)


def name_of(s, most):
    """As a tag or a metric's name: METRIC/TAG#i is the i-th of a series."""
    return s.replace("#", "+").replace("/", "|").encode()[:most].decode(errors="ignore")


def result_of(strings):
    """A result with three labels and two query sets, in which every name is one of the strings."""
    title, y_tag1, y_tag2 = strings[0], name_of(strings[1], 100), name_of(strings[2], 100)
    labels = list(dict.fromkeys(s.encode()[:250].decode(errors="ignore") for s in strings[3:6]))
    cells, summary = [], []
    for l, label in enumerate(labels):
        steps = [{"index": i, "op": "search", "tag": tag, "recall": {"k": 10}} for i, tag in enumerate((y_tag1, y_tag2))]
        cells.append({"label": label, "point": "", "method": strings[6], "params": {strings[7]: l}, "knobs": {}, "repeat": 0,
                      "status": strings[8], "error": strings[9], "steps": steps})
        for t, tag in enumerate((y_tag1, y_tag2)):
            for name, value in (("recall@10", .5 + .1 * l), ("qps", 1000 * (l + 1) + t), (name_of(strings[10], 60), l)):
                summary.append({"label": label, "metric": name + "/" + tag, "median": value, "low": value, "high": value,
                                "repeats": 1})
    specs = [{"kind": "pareto", "x": "qps", "title": title}, {"kind": "bars", "y": "recall@10", "title": title},
             {"kind": "heatmap", "x": strings[7], "y": strings[7], "group": "recall@10", "title": title},
             {"kind": "timeline", "y": name_of(strings[10], 60), "title": title}]
    return {"schema": "driftline-result/1", "summary": summary, "cells": cells, "datasets": [{"name": strings[11]}],
            "experiment": {"name": strings[12], "title": title, "about": strings[13], "config": strings[14], "seed": 1, "seeds": 1,
                           "repeats": 1, "k": 10, "threads": 1, "labels": labels, "figure_specs": specs, "publication": strings[16]},
            "run": {"quick": True, "changed": [strings[17]], "planned": 3, "cells": 2, "kept": 1, "finished": False},
            "environment": {"warnings": [strings[15]], strings[16]: strings[17]},
            "claims": [{"text": strings[18], "holds": True, "values": {strings[19]: 1}, "why": strings[20], "published": bool(len(strings[18]) % 2)}],
            "paper": [{"label": strings[21], "metric": strings[22], "published": 1, "measured": 2}], "figures": []}, labels, \
        (y_tag1, y_tag2)


def texts_of(svg):
    root = tree.parse(svg).getroot()
    assert not [e for e in root.iter() if e.tag.endswith("}script") or e.tag.endswith("}foreignObject")]
    return ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")]


def snapshot(*folders):
    seen = {}
    for folder in folders:
        for at, _, names in os.walk(folder):
            for name in names:
                st = os.lstat(os.path.join(at, name))
                seen[os.path.join(at, name)] = (st.st_size, st.st_mtime_ns)
    return seen


class Page(html.parser.HTMLParser):
    """Which elements and attributes a page has: only those of the program's own text may appear."""
    TAGS = set("html head meta style title body h1 h2 h3 p b div table thead tbody tr th td small figure img figcaption section nav pre "
               "details summary ul li br a code script".split())
    ATTRIBUTES = set("lang charset name content http-equiv class data-v href src alt id title download".split())

    def __init__(self):
        super().__init__()
        self.scripts, self.wrong = 0, []

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.wrong += [tag] if tag not in self.TAGS else []
        for name, value in attrs:
            self.wrong += [name] if name not in self.ATTRIBUTES else []
            if name == "src" and not value.startswith("data:image/svg+xml;base64,") or name == "href" and not re.match(r"#|\./[0-9][0-9-]*[a-z0-9._-]*$|\./result\.json$", value):
                self.wrong.append(value)


def run(*args):
    return subprocess.run([program, *args], capture_output=True, text=True, errors="replace", timeout=900)


def one_round(number, strings):
    folder = "hostile/%d" % number
    os.makedirs(folder)
    result, labels, tags = result_of(strings)
    with open(folder + "/result.json", "w") as f:
        json.dump(result, f)
    before = snapshot(".", os.environ["HOME"])
    drawn, reported, compared = run("plot", folder), run("report", folder), run("compare", folder, folder)
    after = snapshot(".", os.environ["HOME"])
    ours = re.compile(r"\./hostile/%d/(\d\d-[a-z0-9._-]+\.(svg|png|pdf|csv|gp)|result\.json|report\.html|\.lock)$" % number)
    foreign = [path for path in set(before) | set(after) if before.get(path) != after.get(path) and not ours.match(path)]
    assert not foreign, "touched %s" % foreign
    assert drawn.returncode == 0, drawn.stderr
    assert reported.returncode == 0, reported.stderr
    assert compared.returncode == 0, compared.stderr
    escapes = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
    for ran in (drawn, reported, compared):
        assert not escapes.search(ran.stdout + ran.stderr), "control characters on the terminal"
    expect_texts(folder, result, labels, tags)
    page = Page()
    with open(folder + "/report.html") as f:
        page.feed(f.read())
    assert page.scripts == 1 and not page.wrong, "%d scripts, %s" % (page.scripts, page.wrong)


def expect_texts(folder, result, labels, tags):
    files = sorted(name for name in os.listdir(folder) if name.endswith(".svg"))
    assert len(files) == 4, files
    for name in files:
        shown, wanted = texts_of(folder + "/" + name), [result["experiment"]["title"]]
        if "timeline" not in name:
            wanted += tags
        if "heatmap" not in name:
            wanted += labels
        if "heatmap" in name:
            shown = [t.removesuffix(": recall@10") for t in shown]
        for text in wanted:
            assert not plain(text).strip() or plain(text) in shown or "timeline" in name and \
                any(t.startswith(plain(text)) for t in shown), "%s: %r is not among %r" % (name, plain(text), shown)
        with open(folder + "/" + name.replace(".svg", ".csv"), newline="") as f:
            rows = list(csv.reader(f))
        assert all(len(row) == len(rows[0]) for row in rows), name
        assert {row[rows[0].index("panel")] for row in rows[1:]} <= {plain(t) for t in (*tags, "", result["experiment"]
                ["figure_specs"][3]["y"])}, name


def main():
    rng = random.Random(seed)
    done = 0
    for number in range(rounds + (len(ATTACKS) + 22) // 23):
        first = 23 * (number - rounds)
        strings = [text(rng) for _ in range(23)] if first < 0 else (ATTACKS[first:first + 23] + ATTACKS)[:23]
        try:
            one_round(number, strings)
            done += 1
        except (AssertionError, tree.ParseError, subprocess.TimeoutExpired) as why:
            check("a stranger's result, round %d" % number, False, "%s; seed %d, strings %r" % (why, seed, strings))
    check("%d results of a stranger were drawn and reported, as typed, seed %d" % (done, seed), not failed)


main()
sys.exit(failed)
