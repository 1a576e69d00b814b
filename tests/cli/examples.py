#!/usr/bin/env python3
"""examples.py - lists the keys and calls of a config, read from the tables in the code, that no example uses.

    examples.py FOLDER    prints a line "OWNER: NAME" for each that no FOLDER/*.lua uses; exit status 1 if there is any
"""
import pathlib
import re
import sys

# Tables whose keys are names of the user's, and the owner of the tables under these names.
NAMED = {"attributes": "attribute", "where": "condition"}
BLOCKS = {"function": 1, "do": 1, "if": 1, "repeat": 1, "end": -1, "until": -1}
TOKEN = re.compile(r'--[^\n]*|"((?:[^"\\\n]|\\.)*)"|[A-Za-z_]\w*|\.\.|[=~<>]=|\S')


def read(path):
    return pathlib.Path(path).read_text(encoding="utf-8")


# ---- what the code knows

def known_words():
    text = read("src/config/script/language.def")
    calls = dict(re.findall(r'^CALL\((\w+), "([^"]+)"', text, re.M))
    for call, key in re.findall(r'^(?:SET_)?KEY\((\w+), "(\w+)"', text, re.M):
        yield re.sub(r"^v:", ":", calls[call]).replace("figure", "figures"), key
    for name in calls.values():
        owner, _, member = name.rpartition(":")
        if owner in ("v", "w", "w.rng"):
            yield owner.replace("v", "view"), member
    yield from (("call", calls[call]) for call in ("DATASET", "FILE", "SYNTHETIC", "HASHES", "EXPERIMENT", "OPTION", "METHOD", "REQUIRE"))


def known_synthetic():
    source = read("src/data/synthetic/synthetic.c")
    for kind, table in re.findall(r"param (\w+)_table\[\] = \{(.*?)PARAM_END", source, re.S):
        names = re.findall(r"PARAM_\w+\(P, (\w+)", table) + re.findall(r"\b(ROWS|DIM|WEIGHTS)\b", table)
        yield from (("synthetic " + kind, name.lower()) for name in names)


def known():
    yield from known_words()
    yield from known_synthetic()
    yield from (("w", name) for name in re.findall(r"^OP\(\w+, (\w+)", read("src/workload/ops.def"), re.M))
    yield from (("figures", kind) for kind in re.findall(r"^FIGURE\((\w+)", read("src/base/figures.def"), re.M))
    yield from (("metric", name) for name in re.findall(r'^METRIC\("([^"]+)"', read("src/base/metrics.def"), re.M))


# ---- what an example uses

class Config:
    """used has (owner, name) of every key, call and string of a Lua text; a table's owner is its key or its call."""

    def __init__(self, text, metrics):
        self.tokens = [(m[0], m[1]) for m in TOKEN.finditer(text) if not m[0].startswith("--")]
        self.used, self.open, self.keys = set(), [], []
        for i, (token, string) in enumerate(self.tokens):
            if string is not None:
                self.string(i, string, metrics)
            elif token in "{([":
                self.open.append((token, self.owner(i), i))
            elif token in "})]" or BLOCKS.get(token) == -1:
                self.close()
            elif token in BLOCKS:
                self.open.append((token, "", i))
            elif re.match(r"\w", token):
                self.word(i, token)

    def at(self, i):
        return self.tokens[i][0] if 0 <= i < len(self.tokens) else ""

    def call(self, i):
        """The name of the call whose last word is token i."""
        if self.at(i - 1) == ":":
            return {"w": "w:", "rng": "w.rng:"}.get(self.at(i - 2), ":") + self.at(i)
        return self.at(i)

    def owner(self, i):
        before = self.at(i - 1)
        if before == "=" and self.open and self.open[-1][1] in NAMED:
            return NAMED[self.open[-1][1]]
        if before == "=":
            return self.at(i - 2)
        if before in ("{", ",", "(") and self.open:
            return self.open[-1][1]
        return self.call(i - 1)

    def close(self):
        kind, owner, start = self.open.pop()
        if kind == "{" and owner == "synthetic":
            inner = [self.at(j) for j in range(start, len(self.tokens))]
            which = inner[inner.index("kind") + 2].strip('"')
            self.used |= {("synthetic " + which, name) for o, name, at in self.keys if o == owner and at > start}

    def word(self, i, word):
        if self.open and self.open[-1][0] == "{" and self.at(i + 1) == "=":
            owner = self.open[-1][1]
            self.used.add((owner, word))
            self.keys.append((owner, word, i))
        elif self.at(i - 1) == ":":
            owner = {"w": "w", "rng": "w.rng"}.get(self.at(i - 2), "view")
            self.used.add((owner, word))
        elif self.at(i + 1)[:1] in ("{", "(", '"'):
            self.used.add(("call", word))

    def string(self, i, string, metrics):
        if self.at(i - 1) == "[" and self.at(i + 2) == "=":
            self.used.add((self.open[-2][1], string))
        if self.at(i - 1) == "{":
            self.used.add((self.open[-1][1], string))
        self.used |= {("metric", m) for m in metrics if re.match(re.escape(m) + r"($|/|(?<=[@.]))", string)}


def main():
    every = set(known())
    used = set()
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.lua")):
        used |= Config(read(path), [name for owner, name in every if owner == "metric"]).used
    owners = {owner for owner, _ in every}
    for owner in ("experiment", "method", "file", "w:insert", "compare", "figures", "filter", "synthetic drift"):
        if owner not in owners:
            sys.exit(f"examples.py: the code's table of {owner} was not found")
    for owner, name in sorted(every - used):
        print(f"{owner}: {name}")
    return 1 if every - used else 0


sys.exit(main())
