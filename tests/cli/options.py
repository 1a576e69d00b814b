#!/usr/bin/env python3
"""options.py - lists the options of methods that no config sets.

    options.py PROGRAM CONFIGS    prints "METHOD: OPTION" for each; exit status 1 if there is any

A config sets an option if it, or a library that it requires, names the method and has the option as a key, or as a
string, as in sweep = { [knob] = values }.
"""
import pathlib
import re
import subprocess
import sys

LOGS = {"wal", "checkpoint_mb"}  # what survives is shown by tests/contract/test_crash, for every method
SAME = {"spann": "spfresh"}  # methods with one table


def printed(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout


def options(program):
    for line in printed(program, "list", "methods").splitlines()[1:]:
        if line.startswith("not in this build: "):
            break
        method = line.split()[0]
        rows = re.findall(r"^  (\w+)  (?:int|real|bool|choice|text)  (.*)", printed(program, "describe", method), re.M)
        yield from ((method, name) for name, rest in rows if "configs fill it" not in rest and name not in LOGS)


def config_texts(folder):
    files = {path: re.sub(r"--.*", "", path.read_text(encoding="utf-8")) for path in pathlib.Path(folder).rglob("*.lua")}

    def whole(path, seen):
        if path not in files or path in seen:
            return ""
        seen.add(path)
        libraries = re.findall(r'require\s*\(?\s*"(\w+)"', files[path])
        return files[path] + "".join(whole(pathlib.Path(folder, "lib", name + ".lua"), seen) for name in libraries)

    return [whole(path, set()) for path in files]


def main():
    program, folder = sys.argv[1:]
    texts = config_texts(folder)
    unset = [(method, name) for method, name in options(program)
             if not any(re.search(rf'"({method}|{SAME.get(method, method)})"', text) and
                        re.search(rf'(?<![\w.]){name}\s*=(?!=)|"{name}"', text) for text in texts)]
    for method, name in unset:
        print(f"{method}: {name}")
    sys.exit(1 if unset else 0)


if __name__ == "__main__":
    main()
