#!/usr/bin/env python3
"""layout.py - holds the sources to layout.txt: the order of folders, no circles, private headers, prefixes, sizes, head comments.

    layout.py OBJECTS [PART]

OBJECTS is the folder of a build's objects (build/release/obj): calls are read from them with nm. With PART only what
concerns paths with that in them is printed. Exit status 1 when something is found. Large folders, files and functions are hints,
no faults: does it hold more than one subject or thought?
"""
import collections
import os
import re
import subprocess
import sys

# Beyond these a hint is printed.
FOLDER_FILES = 25
FILE_LINES = 500
FUNCTION_LINES = 50
SOURCE_ENDS = (".c", ".h", ".cc", ".cu")
# Tables of intrinsics, where a function is a kernel unrolled.
LONG = ("kernels/",)

found = []
hints = []


def say(rule, where, what):
    found.append((rule, where, what))


def sources(*roots):
    for root in roots:
        for folder, _, names in sorted(os.walk(root)):
            for name in sorted(names):
                if name.endswith(SOURCE_ENDS):
                    yield f"{folder}/{name}"


def read_table():
    table = {}
    with open("src/build/layout.txt", encoding="utf-8") as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if words:
                table[words[0]] = tuple(words[1:])
    return table


def listed(path, table):
    """The nearest listed folder at or above path."""
    while path and path not in table:
        path = os.path.dirname(path)
    return path


def top(path):
    """src/X, algorithms/X, kernels: what may not include each other freely."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in ("src", "algorithms") else parts[0]


def includes():
    for path in sources("src", "algorithms", "kernels"):
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                # The Makefile writes these.
                if match and match.group(1) != "build_info.h" and not match.group(1).endswith(".inc"):
                    yield path, number, match.group(1)


def check_includes(table):
    order = [top(folder) for folder in table if folder.startswith("src/")]
    order = list(dict.fromkeys(order))
    for path, number, target in includes():
        where = f"{path}:{number}"
        if not os.path.exists(target):
            say("an include is not a path from the root", where, target)
            continue
        if target == "algorithms/registry.def":
            continue
        here, there = top(path), top(target)
        name = os.path.basename(target)
        if (name == "internal.h" or name.endswith("_internal.h")) and os.path.dirname(target) != os.path.dirname(path):
            say("a private header is included from another folder", where, target)
        if here == there:
            continue
        allowed = (
            here != "kernels" and there in ("kernels", "src/core")
            or here.startswith("algorithms/") and there == "algorithms/common"
            or here in order and there in order and order.index(there) < order.index(here)
        )
        if not allowed:
            say("against the order of folders", where, f"{here} may not include {target}")


def read_objects(root):
    """Per source file: names it defines, names it wants."""
    objects = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = f"{folder}/{name}"[len(root) + 1:-2]
            if name.endswith(".o") and not path.startswith("tests/") and os.path.exists(path):
                objects.append(f"{folder}/{name}")
    defined = {name[len(root) + 1:-2]: set() for name in objects}
    wanted = {path: set() for path in defined}
    output = subprocess.run(["nm", "-A", *objects], capture_output=True, text=True, check=True).stdout
    for line in output.splitlines():
        name, _, rest = line.partition(":")
        words, path = rest.split(), name[len(root) + 1:-2]
        if len(words) == 2 and words[0] == "U":
            wanted[path].add(words[1])
        elif len(words) == 3 and words[1] in "TDBRG":
            defined[path].add(words[2])
    return defined, wanted


def circles(arrows):
    """Strongly connected components of more than one node (Tarjan)."""
    index, low, stack, on_stack, result = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for other in sorted(arrows.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on_stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while not component or component[-1] != node:
                component.append(stack.pop())
                on_stack.discard(component[-1])
            if len(component) > 1:
                result.append(sorted(component))

    sys.setrecursionlimit(10000)
    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return result


def check_calls(root):
    defined, wanted = read_objects(root)
    home = {name: path for path, names in defined.items() for name in names}
    files, folders = collections.defaultdict(dict), collections.defaultdict(dict)
    for path, names in wanted.items():
        for name in sorted(names):
            other = home.get(name)
            if not other or other == path:
                continue
            files[path].setdefault(other, []).append(name)
            here, there = os.path.dirname(path), os.path.dirname(other)
            if here != there:
                folders[here].setdefault(there, []).append(f"{os.path.basename(path)}: {name}")
    for title, arrows in (("files call each other in a circle", files), ("folders call each other in a circle", folders)):
        for circle in circles(arrows):
            say(title, circle[0], " ".join(circle))
            for node in circle:
                for other in circle:
                    if other in arrows[node]:
                        names = arrows[node][other]
                        say(title, f"    {node} -> {other}", " ".join(names[:4]) + (" ..." if len(names) > 4 else ""))
    return defined


def check_prefixes(defined, table):
    for path, names in sorted(defined.items()):
        prefixes = table.get(listed(os.path.dirname(path), table), ())
        bad = [name for name in sorted(names) if not name.startswith(prefixes) and not name.startswith("_Z")]
        if bad:
            say("an exported name does not begin as its folder's do", path, " ".join(bad))


def check_folders(table):
    count = collections.Counter(os.path.dirname(path) for path in sources("src", "algorithms", "kernels", "tests"))
    for folder, n in sorted(count.items()):
        if n > FOLDER_FILES:
            hints.append(f"{folder}: {n} files")
        if folder.startswith(("src/", "algorithms/")) and not listed(folder, table):
            say("a folder is not in layout.txt", folder, "")


def check_sizes():
    for path in sources("src", "algorithms", "kernels", "tests"):
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        if path.startswith(LONG):
            continue
        if len(lines) - 1 > FILE_LINES:
            hints.append(f"{path}: {len(lines) - 1} lines")
        start = None
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start:
                if number - start - 1 > FUNCTION_LINES:
                    hints.append(f"{path}:{start}: a function of {number - start - 1} lines")
                start = None


def check_heads():
    """A file that opens with a file's name opens with its own."""
    for path in sources("src", "algorithms", "kernels", "tests"):
        with open(path, encoding="utf-8") as file:
            match = re.match(r"/[*/] (\w+\.\w+) - ", file.readline())
        if match and match.group(1) != os.path.basename(path):
            say("a head comment names another file", f"{path}:1", match.group(1))


def check_tags():
    """A struct that a header shares has a name of its own in all of the sources."""
    tags = collections.defaultdict(list)
    for path in sources("src", "algorithms", "kernels"):
        with open(path, encoding="utf-8") as file:
            for tag in re.findall(r"^(?:struct|union|enum) (\w+) *\{", file.read(), re.M):
                tags[tag].append(path)
    for tag, paths in sorted(tags.items()):
        if len(paths) > 1 and any(path.endswith(".h") for path in paths):
            say("a tag of a header is defined again", tag, " ".join(paths))


def main():
    root, part = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    table = read_table()
    check_includes(table)
    check_prefixes(check_calls(root), table)
    check_folders(table)
    check_sizes()
    check_heads()
    check_tags()
    last = ""
    bad = False
    for rule, where, what in found:
        if part not in where + what:
            continue
        bad = True
        if rule != last:
            print(f"{rule}:")
        print(f"  {where}: {what}"[:400])
        last = rule
    for hint in hints:
        if part in hint:
            print(f"hint: {hint}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
