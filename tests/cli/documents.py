#!/usr/bin/env python3
"""documents.py - compares the documents with the program: commands run and print what is shown, links and paths exist.

    documents.py [--record] SCRATCH    the documents of the current folder; their commands run in SCRATCH, a copy of it.
                                       Prints one TAP line per check. With --record, an output that differs is written
                                       into its document

A command is a line of an ```sh block, a line "$ COMMAND" of a ```console block, or an indented line that begins with ./harness
or make. In a ```console block the lines below a command are its output, whole but for "...", which matches any text. A number
with a unit (of time, memory, thousands), a date, a hash and all numbers and labels of a line that compares times match any
other; numbers that do not depend on time must be within 2 %, as sums are rounded otherwise on other processors. Warnings are
left out. The commands of a document run in order, all in one folder, and must exit with 0, or with N below <!-- exit status N -->.
Not run are: a block below <!-- not run: WHY -->, commands with a NAME to be replaced that has no stand-in, make, programs of other projects, and commands that take minutes or install something. A config that is not an example runs as
./harness check, two that take minutes in the form of SHORT. A block below a line that ends with "`FILE`:" is saved as FILE first; a Lua block that has an experiment but no
name is checked.
"""
import array
import functools
import pathlib
import random
import re
import shlex
import struct
import subprocess
import sys

LONG = {"new", "reproduce", "fetch", "bench", "simulate"}  # what takes minutes, installs or writes to the tree
SHORT = {  # options that make a run of minutes one of seconds
    "configs/examples/worked_example.lua": ["--quick"],
    "configs/drift_mnist_fashion.lua": ["--quick", "--only", "FAISS IVF add-only", "--only", "dynamic IVF, lire"],
}
STAND_INS = {"FILE": "vectors.fbin", "QUERIES": "vectors.fbin", "CONFIG": "configs/examples/own_vectors.lua", "LABEL": "divf",
             "METHOD": "hnsw", "COMMAND": "run", "RESULT": "results/own_vectors", "INDEX": "own.idx"}  # README makes them
TESTS = {"unit", "contract", "cli"}  # folders, as make test T= takes them
OTHERS = {"gdb", "valgrind", "perf", "git", "sudo", "apt-get", "firefox"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"~?\b(?P<value>\d[\d.,]*(e[+-]?\d+)?)(?P<unit> ?([kMGT]|[num]s|s|min|%|B|[KMGT]iB)(?!\w))?")
NAMELESS = re.compile(r"\b(\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?|(?=[a-f]*\d)[0-9a-f]{7,})\b")  # dates and hashes
COMPARES_TIMES = re.compile(r"fastest|faster|ratio|told apart|(per|a) second")
LABEL = re.compile(r"[\w-]+(\[[^]]*\]| \([^)]*=[^)]*\))")
VERDICT = re.compile(r"^(holds|does\\ not\\ hold|(not\\ )?reproduced)")  # in an escaped line
COUNTED = re.compile(r"(scanned|distances)\S* = $")  # thousands, but of no time
TOLERANCE = .02
failed = False


def say(ok, name, why=""):
    global failed
    failed |= not ok
    print(("ok - " if ok else "not ok - ") + name + ("".join("\n#   " + line for line in why.splitlines()[:30]) if not ok else ""))


# ---- outputs

def kind_of(line):
    """A line in the form that is compared: numbers by kind, blanks as one."""
    line = LABEL.sub("#", line) if COMPARES_TIMES.search(line) else line
    return re.sub(r"[\s-]+", " ", NUMBER.sub("#", NAMELESS.sub("#", line))).strip()


def same(shown, printed, loosely=False):
    pattern = re.escape(kind_of(shown)).replace(re.escape("..."), ".*")
    pattern = VERDICT.sub(r"(\g<0>|not measured)", pattern)  # a short form measures no claim
    if not re.fullmatch(pattern, kind_of(printed)) or loosely or COMPARES_TIMES.search(shown):
        return bool(re.fullmatch(pattern, kind_of(printed)))
    pairs = zip(*(NUMBER.finditer(NAMELESS.sub("", line)) for line in (shown.partition("...")[0], printed)))
    return all((a["unit"] or b["unit"]) and not COUNTED.search(a.string[:a.start()]) or
               abs(value(a) - value(b)) <= TOLERANCE * abs(value(a)) for a, b in pairs)


def value(number):
    return float(number["value"].rstrip(".,").replace(",", ""))


def aligned(shown, printed, loosely=False):
    """For each shown line the number of the printed one, None for "..."; None if they differ."""
    at, found = 0, []
    while True:
        size = (shown + ["..."]).index("...")
        is_last, latest = size == len(shown), len(printed) - size
        starts = range(at, latest + 1) if found else [0]  # below "...", or at the top
        if is_last and size:
            starts = [start for start in [latest] if start in starts]
        at = next((i for i in starts if i <= latest and all(same(*pair, loosely) for pair in zip(shown[:size], printed[i:]))), None)
        if at is None:
            return None
        found += range(at, at + size)
        if is_last:
            return found
        found.append(None)
        at += size
        shown = shown[size + 1:]


def recorded(shown, printed):
    """`shown` with what was printed; the whole output where it differs in more than numbers, to be abridged by hand."""
    found = aligned(shown, printed, True)
    return printed if found is None else ["..." if i is None else printed[i] for i in found]


def lines_of(printed):
    """What is compared of an output."""
    printed = re.sub(r"\n~ not steady[^\n]*\n", "", printed.replace(str(scratch), "..."))  # a busy machine
    printed = re.sub(r"(?m)^exact truth computed in [^\n]*\n", "", printed)  # said where it took half a second
    return [line.rstrip() for line in printed.splitlines() if not re.match(r"(warning|driftline): ", line)]


def short_form(words, in_sentence):
    """The command line to run for a command, or None if it is not run. Configs of one in a sentence are checked."""
    if words[0] == "./harness":
        words = [re.sub(r"\b[A-Z]+$", lambda name: STAND_INS.get(name[0], name[0]), word) for word in words]
    program, *rest = words
    if program in OTHERS or program == "make" or program.startswith("build/") or any(re.fullmatch(r"[A-Z]+(\.\.\.)?", word) for word in rest):
        return None
    if program != "./harness":
        return words
    configs = [word for word in rest if word.endswith(".lua")]
    if rest[:1] and (rest[0] in LONG or rest[0] == "advise" and "--time" not in rest):
        return None
    if len(configs) == 1 and configs[0] in SHORT:
        return words + SHORT[configs[0]]
    if any(in_sentence and rest[0] != "build" or not word.startswith("configs/examples/") for word in configs if "/" in word):
        return ["./harness", "check", *configs]
    return words


@functools.cache
def help_of(command):
    done = subprocess.run(["./harness", "help", command], cwd=scratch, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def is_command(words):
    """Whether the program, its target or subcommand, and the options exist."""
    if words[0] == "make":
        targets = re.findall(r"^([a-z][\w -]*):(?!=)", pathlib.Path("Makefile").read_text(), re.M)
        return {word for word in words[1:] if "=" not in word} <= set(" ".join(targets).split())
    if words[0] != "./harness" or not words[1:]:
        return True
    text = help_of("run" if re.search(r"[./]|^-|^[A-Z]", words[1]) else words[1])
    options = {word.partition("=")[0] for word in words[1:] if word.startswith("--")} - {"--help"}
    return text is not None and options <= set(re.findall(r"^  (--[\w-]+)", text, re.M))


def run(name, command, shown, run_it=True, status=0, in_sentence=False):
    words = [word for word in shlex.split(command, comments=True)]
    while words and re.match(r"\w+=", words[0]):
        words.pop(0)
    if not words:
        return
    lost = [word for word in words if re.match(r"configs/[a-z_/]+\.lua$", word) and not pathlib.Path(word).exists()]
    say(is_command(words) and not lost, f"{name}: {command}: is there")
    changed = short_form(words, in_sentence)
    if not run_it or changed is None:
        return None
    line = command if changed == words else shlex.join(changed)
    try:
        done = subprocess.run(["bash", "-c", line], cwd=scratch, stdin=subprocess.DEVNULL, timeout=600, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return say(False, f"{name}: {line}", "no end within 600 s")
    if done.returncode and re.search("offline was asked for|no source provides", done.stdout):
        return print(f"ok - {name}: {line} # SKIP its data are not on this machine")
    say(done.returncode == status, f"{name}: {line}", f"exit status {done.returncode}, expected {status}\n" + done.stdout)
    if not shown or changed[:len(words)] != words:
        return None
    lines, printed = shown.rstrip().splitlines(), lines_of(done.stdout)
    as_shown = aligned(lines, printed) is not None
    say(as_shown or record, f"{name}: {line}: prints what is shown", "\n".join(["shown:", *lines, "printed:", *printed]))
    return None if as_shown or done.returncode != status else "\n".join(recorded(lines, printed)) + "\n"


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
    """Returns the document, with the outputs as they are now where it records them."""
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
        if language != "console" and re.search(r"^\$ ", body, re.M):
            say(False, f"{name}: its sessions are in ```console blocks", body)
        for command, shown in sessions(language, body):
            new = run(name, command, shown, run_it, int(status[1]) if status else 0)
            if record and new:
                text = text.replace(f"$ {command}\n{shown}", f"$ {command}\n{new}", 1)
    for command in re.findall(r"`((?:\./harness|make) [^`\n]+)`", FENCE.sub("", text)):
        run(name, command, "", name == "questions.md", in_sentence=True)
    return text


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
        token = "tests/" + token if token.split("/")[0] in TESTS and "..." not in token else token
        if token.split("/")[0] not in top or re.search(r"\b[A-Z]{3,}\b", token.replace("README", "")):
            continue
        forms = [token]
        while any("{" in form for form in forms):  # a/{b,c}
            forms = [form.replace(m[0], choice, 1) for form in forms for m in [re.search(r"\{([^}]*)\}", form)]
                     for choice in m[1].split(",")]
        wrong += [form for form in forms if not any([*pathlib.Path().glob(form.rstrip("/") + end)] for end in ("", ".lua", ".c", ".sh"))]
    say(not wrong, f"{path}: the files that it names are there", "\n".join(wrong))


def write_vectors(path):
    """The reader's own file: 5,200 rows of 32 about 50 centres."""
    draw = random.Random(1)
    centres = [[draw.gauss(0, 1) for _ in range(32)] for _ in range(50)]
    rows = array.array("f", (draw.gauss(x, 1) for i in range(5200) for x in centres[i % 50]))
    path.write_bytes(struct.pack("<II", 5200, 32) + rows.tobytes())


record = sys.argv[1] == "--record"
scratch = pathlib.Path(sys.argv[-1])
write_vectors(scratch / "vectors.fbin")
documents = [pathlib.Path(name) for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md")]
for document in [path for path in documents if path.exists()] + sorted(pathlib.Path("docs").rglob("*.md")):
    contents = document.read_text(encoding="utf-8")
    check_links(document, contents)
    if document.name != "CHANGELOG.md":  # it names what is gone
        check_paths(document, contents)
    now = check_blocks(document.name, contents)
    if now != contents:
        document.write_text(now, encoding="utf-8")
sys.exit(1 if failed else 0)
