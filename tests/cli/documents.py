#!/usr/bin/env python3
"""documents.py - compares the documents with the program: commands run and print what is shown, links and paths exist.

    documents.py SCRATCH    the documents of the current folder; their commands run in SCRATCH, a copy of it.
                            Prints one TAP line per check

A command is a line of an ```sh block, a line "$ COMMAND" of a ```console block, or an indented line that begins with ./harness
or make. In a ```console block the lines below a command are its output: "..." matches any text, a number matches any number.
The commands of a document run in order, all in one folder, and must exit with 0, or with N below <!-- exit status N -->.
Not run are: a block below <!-- not run: WHY -->, commands with a NAME to be replaced or with a file of the reader's, $PWD/FILE,
make, programs of other projects, and commands that take minutes or install something. A config that is not an example runs as
./harness check, the worked example, which takes a minute, with --quick. A block below a line that ends with "`FILE`:" is saved as FILE first; a Lua block that has an experiment but no
name is checked.
"""
import pathlib
import re
import shlex
import subprocess
import sys

LONG = {"new", "reproduce", "fetch", "bench"}  # what takes minutes, installs or writes to the tree
WORKED = "configs/examples/worked_example.lua"
OTHERS = {"gdb", "valgrind", "perf", "git", "sudo", "apt-get", "firefox"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"~?\b\d[\d.,]*(e[+-]?\d+)?( ?([kMGT]|[num]s|s|%|B|[KMGT]iB)\b)?")
failed = False


def say(ok, name, why=""):
    global failed
    failed |= not ok
    print(("ok - " if ok else "not ok - ") + name + ("".join("\n#   " + line for line in why.splitlines()[:30]) if not ok else ""))


# ---- commands

def kind_of(line):
    """A line in the form that is compared: numbers by kind, blanks as one."""
    return re.sub(r"[\s-]+", " ", NUMBER.sub("#", line)).strip()


def matches(shown, printed):
    shown = "\n".join(kind_of(line) for line in shown.rstrip().splitlines())
    printed = re.sub(r"\n~ not steady[^\n]*\n", "", printed)  # a busy machine
    printed = [kind_of(line) for line in printed.splitlines() if not re.match(r"(warning|driftline): ", line)]
    pattern = re.escape(shown).replace(re.escape("...") + "\\\n", "(.*\n)*?").replace(re.escape("..."), ".*")
    return re.search("^" + pattern + "$", "\n".join(printed) + "\n", re.M) is not None


def quick_form(words):
    """The command line to run for a command, or None if it is not run."""
    program, *rest = words
    if program in OTHERS or program == "make" or program.startswith("build/") or any(re.fullmatch(r"[A-Z]+(\.\.\.)?", word) for word in rest):
        return None
    if any(not (scratch / file).exists() for file in re.findall(r"\$PWD/(\S+)", " ".join(rest))):
        return None
    if program != "./harness":
        return words
    configs = [word for word in rest if word.endswith(".lua")]
    if rest[:1] and rest[0] in LONG:
        return None
    if any(word.startswith("configs/") and not word.startswith("configs/examples/") for word in configs):
        return ["./harness", "check", *configs]
    return words + ["--quick"] if configs == [WORKED] else words


def is_command(words):
    """Whether the program, and its target or subcommand, exist."""
    if words[0] == "make":
        targets = re.findall(r"^([a-z][\w -]*):(?!=)", pathlib.Path("Makefile").read_text(), re.M)
        return {word for word in words[1:] if "=" not in word} <= set(" ".join(targets).split())
    if words[0] == "./harness" and words[1:] and not re.search(r"[./]|^-|^[A-Z]", words[1]):
        helped = subprocess.run(["./harness", "help", words[1]], cwd=scratch, capture_output=True)
        return helped.returncode == 0
    return True


def run(name, command, shown, run_it=True, status=0):
    words = [word for word in shlex.split(command, comments=True)]
    while words and re.match(r"\w+=", words[0]):
        words.pop(0)
    if not words:
        return
    lost = [word for word in words if re.match(r"configs/[a-z_/]+\.lua$", word) and not pathlib.Path(word).exists()]
    say(is_command(words) and not lost, f"{name}: {command}: is there")
    changed = quick_form(words)
    if not run_it or changed is None:
        return
    line = command if changed == words else shlex.join(changed)
    try:
        done = subprocess.run(["bash", "-c", line], cwd=scratch, stdin=subprocess.DEVNULL, timeout=600, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return say(False, f"{name}: {line}", "no end within 600 s")
    if done.returncode and re.search("offline was asked for|no source provides", done.stdout):
        return print(f"ok - {name}: {line} # SKIP its data are not on this machine")
    say(done.returncode == status, f"{name}: {line}", f"exit status {done.returncode}, expected {status}\n" + done.stdout)
    if shown and changed[:len(words)] == words:
        say(matches(shown, done.stdout), f"{name}: {line}: prints what is shown", "shown:\n" + shown + "printed:\n" + done.stdout)


def sessions(language, text):
    """(command, output) of a block."""
    text = text.replace("\\\n", "")
    if language == "console":
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown
    elif language == "sh":
        yield from ((line, "") for line in text.splitlines())


def blocks(text):
    """(language, text, what stands above) in order; indented commands are blocks of `sh`."""
    found = [(m.start(), m[1], m[2], text[:m.start()]) for m in FENCE.finditer(text)]
    inside = [range(m.start(), m.end()) for m in FENCE.finditer(text)]
    for m in re.finditer(r"^    ((?:[A-Z_]+=\S+ )*(?:\./harness|make)( .*)?)$", text, re.M):
        if not any(m.start() in r for r in inside):
            found.append((m.start(), "sh", m[1] + "\n", text[:m.start()]))
    return [(language, body, above) for _, language, body, above in sorted(found)]


def check_blocks(name, text):
    for language, body, above in blocks(text):
        above = above.rstrip().rpartition("\n")[2]
        run_it = not re.match(r"<!-- not run: .+ -->$", above)
        status = re.match(r"<!-- exit status (\d+) -->$", above)
        file = re.search(r"`([\w.-]+)`:$", above)
        if file:
            (scratch / file[1]).write_text(body)
        elif language == "lua" and re.search(r"^experiment\b", body, re.M) and run_it:
            (scratch / "block.lua").write_text(body)
            run(name, "./harness check block.lua", "")
        for command, shown in sessions(language, body):
            run(name, command, shown, run_it, int(status[1]) if status else 0)
    for command in re.findall(r"`((?:\./harness|make) [^`\n]+)`", FENCE.sub("", text)):
        run(name, command, "", False)


# ---- links and paths

def slugs(text):
    """The anchors of a document's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ +(.*)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", head).lower()).replace(" ", "-") for head in heads}


def check_links(path, text):
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        to = path.parent / file if file else path
        if not to.exists() or (anchor and anchor not in slugs(to.read_text())):
            wrong.append(target)
    say(not wrong, f"{path}: its links lead somewhere", "\n".join(wrong))


def check_paths(path, text):
    top = {entry.name for entry in pathlib.Path().iterdir()} - {"build", "results"}
    wrong = []
    for token in set(re.findall(r"`([\w./*{},-]+/[\w./*{},-]*)`", FENCE.sub("", text))):
        first = token.split("/")[0]
        if first not in top or re.search(r"\b[A-Z]{3,}\b", token.replace("README", "")):
            continue
        forms = [token]
        while any("{" in form for form in forms):  # a/{b,c}
            forms = [form.replace(m[0], choice, 1) for form in forms for m in [re.search(r"\{([^}]*)\}", form)]
                     for choice in m[1].split(",")]
        wrong += [form for form in forms if not [*pathlib.Path().glob(form.rstrip("/")), *pathlib.Path().glob(form + ".lua")]]
    say(not wrong, f"{path}: the files that it names are there", "\n".join(wrong))


scratch = pathlib.Path(sys.argv[1])
documents = [pathlib.Path(name) for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md")]
for document in [path for path in documents if path.exists()] + sorted(pathlib.Path("docs").rglob("*.md")):
    contents = document.read_text(encoding="utf-8")
    check_links(document, contents)
    if document.name != "CHANGELOG.md":  # it names what is gone
        check_paths(document, contents)
    check_blocks(document.name, contents)
sys.exit(1 if failed else 0)
