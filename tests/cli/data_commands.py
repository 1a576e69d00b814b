#!/usr/bin/env python3
"""data_commands.py - runs the commands of README, docs and configs that name a data set of the catalog.

    data_commands.py PROGRAM ROOT       in the current folder; one TAP line for each

A config is checked with the command's settings, not run; advice is asked of few rows. Left out are commands with a NAME to be
replaced, and sets that come from the internet.
"""
import pathlib
import re
import shlex
import subprocess
import sys

program, root = sys.argv[1], pathlib.Path(sys.argv[2])
failed = False


def harness(*words):
    return subprocess.run([program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")


names = [line.split()[0] for line in harness("list", "datasets").stdout.splitlines()[1:] if line[:1].isalnum()]
far = {name for name in names if not re.search(r"from (recipe|npm|Debian)", harness("describe", name).stdout)}


def quick_form(words):
    sets = [word for pair in zip(words, words[1:]) if pair[0] == "--set" for word in pair]
    configs = [str(root / word) for word in words if word.endswith(".lua")]
    if configs:
        return ["check", *sets, "--out", "measured", *configs]
    if words[0] == "advise":
        return [*words[:2], "--rows", "2000", "--time", "60", "--only", "flat", "--only", "hnsw 1", "--out", "advice"]
    return words


def command_lines(text):
    """In backquotes, and lines of their own: of a shell, indented, or of a config's comment."""
    yield from (" ".join(line.split()) for line in re.findall(r"`\./harness ([^`]+)`", text))
    yield from re.findall(r"^(?:\$ |-- +| +)?\./harness (.*)$", text.replace("\\\n", ""), re.M)


commands = {}
for file in [root / "README.md", *sorted((root / "docs").rglob("*.md")), *sorted((root / "configs").rglob("*.lua"))]:
    for line in command_lines(file.read_text()):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an apostrophe of a sentence behind the command
            continue
        named = {name for word in words for name in re.split(r"[=/]", word)} & set(names)
        if named and not named & far and not any(re.fullmatch(r"(\w+=)?[A-Z]+(\.\.\.)?", word) for word in words):
            commands.setdefault(tuple(quick_form(words)), f"{file.relative_to(root)}: {line}")
for words, where in commands.items():
    done = harness(*words)
    ok = done.returncode == 0
    failed |= not ok
    print(("ok - " if ok else "not ok - ") + where + ("" if ok else "\n#   " + "\n#   ".join(done.stdout.splitlines()[-20:])), flush=True)
print(("ok - " if commands else "not ok - ") + "there are such commands")
sys.exit(failed or not commands)
