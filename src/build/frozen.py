#!/usr/bin/env python3
"""frozen.py - holds what the papers' configs find to tests/frozen.tsv, so that a change that is to change no answer is seen to.

    frozen.py [--record] [--file FILE] [CONFIG...]

Runs the quick form of each CONFIG (default: those of configs/papers.txt without the leaderboard, long-life, live-load, model-change and neural) on one thread. A line of the
file is a cell: its searches and ranges, means of their recall and counts, and a digest of the answers and counts of each.
--record runs each config twice and writes its lines anew; a cell of which two runs differ has "varies" for a digest and is not
compared, because clocks or background threads decide there. Sums of floats depend on the instruction set: the file holds for a
machine with AVX-512. Exit status 1: a cell differs or is missing.
"""
import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile

COUNTS = ("distances", "estimates", "scanned", "bytes_read")
COLUMNS = ("config", "cell", "machine", "answered", "recall", *COUNTS, "digest")
VARIES = "varies"


class NoResult(Exception):
    """A config did not run; the last line that it printed."""


def configs_of_papers():
    with open("configs/papers.txt", encoding="utf-8") as file:
        words = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return list(dict.fromkeys(w[1] for w in words if w[0] not in ("leaderboard", "long-life", "live-load", "model-change", "neural")))


def run(config, folder):
    """The folder of the config's result."""
    command = ["./harness", "run", "--quick", "--threads", "1", "--no-plots", "--quiet", "--out", folder, config]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    names = os.listdir(folder)
    if len(names) != 1:
        raise NoResult(done.stderr.strip().split("\n")[-1])
    return f"{folder}/{names[0]}"


def hash_answers(result):
    """A hash of the ids that each cell answered, in order, by label."""
    hashes = {}
    with subprocess.Popen(["build/driftline", "dump", result], stdout=subprocess.PIPE) as dump:
        for line in dump.stdout:
            hashes.setdefault(line.split(b"\t", 1)[0].decode(), hashlib.sha256()).update(line)
    return hashes


def recall_of(step):
    kind = step["recall"] or step["range"]
    return kind.get("mean", kind.get("recall")) if kind else None


def cells_of(config):
    """What the config's cells found: a tuple of the columns after the cell's name, by (config, cell)."""
    with tempfile.TemporaryDirectory() as folder:
        result = run(config, folder)
        with open(f"{result}/result.json", encoding="utf-8") as file:
            document = json.load(file)
        hashes = hash_answers(result)
    environment = document["environment"]
    machine = f"{environment['kernels']}/{environment['libraries']['openblas']['core']}"
    found = {}
    for cell in document["cells"]:
        label = f"{cell['label']}[{cell['point']}]" if cell["point"] else cell["label"]
        answered = [step for step in cell["steps"] if recall_of(step) is not None]
        numbers = [(recall_of(step), *(step[name] for name in COUNTS)) for step in answered]
        found.setdefault(label, []).extend(numbers)
        hashes.setdefault(label, hashlib.sha256()).update(f"{cell['status']} {cell['repeat']} {numbers}".encode())
    return {(config, label): (machine, str(len(steps)), *(mean(step[i] for step in steps) for i in range(1 + len(COUNTS))),
                              hashes[label].hexdigest()[:12]) for label, steps in found.items()}


def mean(values):
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.6g}" if known else ""


def read_frozen(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    return {tuple(row[:2]): tuple(row[2:]) for row in rows}


def record(configs, path):
    frozen = read_frozen(path)
    for config in configs:
        try:
            first, second = cells_of(config), cells_of(config)
        except NoResult as why:
            print(f"frozen: {config}: not recorded, it does not run: {why}", flush=True)
            continue
        cells = {key: row if second.get(key) == row else row[:-1] + (VARIES,) for key, row in first.items()}
        frozen = {key: row for key, row in frozen.items() if key[0] != config} | cells
        with open(path, "w", encoding="utf-8") as file:
            file.writelines("\t".join(row) + "\n" for row in [COLUMNS, *(key + frozen[key] for key in sorted(frozen))])
        print(f"frozen: {config}: {len(cells)} cells, {sum(row[-1] == VARIES for row in cells.values())} vary", flush=True)
    return 0


def compare(configs, path):
    frozen, failed = read_frozen(path), False
    for config in configs:
        recorded = {key: row for key, row in frozen.items() if key[0] == config}
        kept = {key: row for key, row in recorded.items() if row[-1] != VARIES}
        if not kept:
            failed |= not recorded
            print(f"{'skipped' if recorded else 'FAILED':8}{config}: {'all its cells vary' if recorded else f'not in {path}'}", flush=True)
            continue
        try:
            now = cells_of(config)
        except NoResult as why:
            now = {}
            print(f"frozen: {config} does not run: {why}", flush=True)
        differ = [key for key, row in kept.items() if now.get(key) != row]
        failed |= bool(differ)
        print(f"{'FAILED' if differ else 'ok':8}{config}: {len(differ)} of {len(kept)} cells differ", flush=True)
        for key in differ[:10]:
            changes = [f"{name} {new}, was {old}" for name, old, new in zip(COLUMNS[2:], kept[key], now.get(key, ())) if old != new]
            print(f"        {key[1]}: {'; '.join(changes) or 'missing'}", flush=True)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(usage="frozen.py [--record] [--file FILE] [CONFIG...]")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--file", default="tests/frozen.tsv")
    parser.add_argument("configs", nargs="*")
    asked = parser.parse_args()
    return (record if asked.record else compare)(asked.configs or configs_of_papers(), asked.file)


if __name__ == "__main__":
    sys.exit(main())
