#!/usr/bin/env python3
"""liar.py - the expected result of each lie of tests/plugins/liar/liar.c: the table, and its comparison with results.

    liar.py check FOLDER DOC    prints one TAP line per expectation; FOLDER/RUN/result.json and FOLDER/RUN.out are read,
                                DOC must have the table; exit status 1 if an expectation fails
    liar.py modes A|B           whether the table has exactly these modes
    liar.py table               the table as docs/adversary.md has it
"""
import json
import re
import sys


class Cell:
    """A cell of one run, with what the program printed about that run."""

    def __init__(self, result, printed, label):
        self.result, self.printed, self.label = result, printed, label
        self.points = [c for c in result["cells"] if c["label"] == label]
        self.cell = self.points[0] if self.points else None

    def step(self, tag):
        steps = [s for s in self.cell["steps"] if s["tag"] == tag]
        return steps[-1] if steps else {}

    def value(self, path):
        """ "search/recall/mean" is of the step with that tag, "cell/status" of the cell itself."""
        first, *keys = path.split("/")
        at = self.cell if first == "cell" else self.step(first)
        for key in keys:
            at = at.get(key) if isinstance(at, dict) else None
        return at


def is_number(x):
    return isinstance(x, (int, float)) and not isinstance(x, bool)


# ---- expectations: (words, function of a Cell that returns whether it is so, function that says what was seen)

def status(want):
    return (f"status {want}", lambda c: c.value("cell/status") == want,
            lambda c: f"{c.value('cell/status')}: {c.value('cell/error')}")


def failed(pattern):
    return (f"failed, /{pattern}/",
            lambda c: all(p["status"] == "failed" and re.search(pattern, p["error"] or "") for p in c.points),
            lambda c: [(p["point"], p["status"], p["error"]) for p in c.points])


def between(path, low, high):
    return (f"{path} is {low} to {high}" if low != high else f"{path} is {low}",
            lambda c: is_number(c.value(path)) and low <= c.value(path) <= high, lambda c: c.value(path))


def equal(path, want):
    return (f"{path} is {json.dumps(want)}", lambda c: c.value(path) == want, lambda c: c.value(path))


def note(tag, pattern):
    return (f"a note of {tag}: /{pattern}/", lambda c: re.search(pattern, c.value(f"{tag}/note") or ""),
            lambda c: c.value(f"{tag}/note"))


def no_note(tag, pattern):
    return (f"no note of {tag}: /{pattern}/", lambda c: not re.search(pattern, c.value(f"{tag}/note") or ""),
            lambda c: c.value(f"{tag}/note"))


def warned(pattern):
    return (f"a warning of the cell: /{pattern}/",
            lambda c: any(re.search(pattern, w) for w in c.value("cell/warnings")), lambda c: c.value("cell/warnings"))


def printed(pattern):
    """Text on the line with the label."""
    def lines(c):
        return [line for line in c.printed.splitlines() if re.search(rf"(?<!\w){c.label}(?!\w)", line)]
    return (f"printed: /{pattern}/", lambda c: any(re.search(pattern, line) for line in lines(c)), lines)


def summary(metric, low, high):
    """Of every point."""
    def of(c):
        return [s["median"] for s in c.result["summary"]
                if s["label"].split("[")[0] == c.label and s["metric"] == metric]
    return (f"the summary's {metric} is {low} to {high}",
            lambda c: of(c) and all(is_number(m) and low <= m <= high for m in of(c)), of)


truth_noted = ("the result has a note on the ground truth", lambda c: c.result["truth"]["notes"],
               lambda c: c.result["truth"]["notes"])


def pair(pattern):
    """The pair with the honest method has no ratio, for this reason, and the claim about it is not judged."""
    def entry(c):
        return next((e for e in c.result["compare"] if e["a"] == c.label), {})

    def holds(c):
        return [k["holds"] for k in c.result["claims"] if k["text"].startswith(c.label)]
    return (f"no ratio: /{pattern}/; the claim is not judged",
            lambda c: entry(c)["ratio"] is None and re.search(pattern, entry(c)["verdict"]) and holds(c) == [None],
            lambda c: (entry(c), holds(c)))


def sound(c):
    """No note, no warning; files that other programs leave in /tmp meanwhile are not the cell's."""
    notes = [s["note"] for p in c.points for s in p["steps"] if s["note"]]
    warnings = [w for p in c.points for w in p["warnings"] if not w.startswith("new temporary files")]
    return notes + warnings


nothing_said = ("no note, no warning", lambda c: not sound(c), sound)
all_points_ok = ("every point is ok", lambda c: all(p["status"] == "ok" for p in c.points),
                 lambda c: [(p["point"], p["status"], p["error"]) for p in c.points])

# Under load two threads may get no more than one processor between them; then there is nothing to note.
processors_noted = (
    "a note of more processor time, where the batch had more than one processor",
    lambda c: (c.value("end/stats/processors_of_batch") or 0) < 1.5
    or re.search("more processor time than", c.value("after/note") or ""),
    lambda c: (c.value("end/stats/processors_of_batch"), c.value("after/note")))

# A machine that is busy enough may take longer over what is timed.
warned_of_work = (
    "a warning of work outside the clock, where that is more than what was timed",
    lambda c: warned("outside the timed calls")[1](c) or c.value("cell/timed_seconds") > c.value("cell/untimed_seconds"),
    lambda c: (c.value("cell/timed_seconds"), c.value("cell/untimed_seconds"), c.value("cell/warnings")))
outside_the_clock = [status("ok"), between("cell/untimed_seconds", .3, 60), warned_of_work]
batch_differs = [status("ok"), between("search/recall/mean", 1, 1), between("search/throughput_recall/mean", 0, 0),
                 note("search", "(^|; )the batch answers differently: recall"),
                 printed("the batch answers differently: recall"), summary("throughput_recall@10/search", 0, 0)]


def held_memory(mode):
    return [("main", mode, status("ok")), ("main", mode, between("load/memory/rss_bytes", 60e6, 120e6)),
            ("limit", mode, status("out-of-memory"))]


def main(mode, *expectations):
    return [("main", mode, e) for e in expectations]


# ---- the table: the mode, what the plugin does, what the result says, and what is expected of which run and label

TABLE = [
    ("honest", "the control: an exact scan", "`ok`, recall 1 in both passes, no note, no warning",
     main("honest", all_points_ok, nothing_said, between("search/recall/mean", 1, 1),
          between("search/throughput_recall/mean", 1, 1), equal("search/wrong_ids", 0),
          equal("search/throughput_wrong_ids", 0), between("range/range/throughput_recall", 1, 1),
          between("range/range/throughput_precision", 1, 1), equal("search/distances", 3000),
          equal("after/distances", 2900), summary("throughput_range_recall/range", 1, 1),
          between("load/memory/rss_bytes", 0, 16e6), between("cell/timed_seconds", 1e-6, 60),
          between("cell/untimed_seconds", 0, 60), between("cell/cpu_seconds", 1e-6, 60),
          equal("cell/threads_used", 1))
     + [("limit", "honest", all_points_ok), ("live", "honest", all_points_ok),
        ("live", "honest", between("live/throughput_recall/mean", .9, 1)),
        ("live", "honest", between("live/stats/sampled_answers", 1, 1e9)),
        ("live", "honest", nothing_said)]),
    ("batch_writes_nothing", "returns from a batch of queries without an answer",
     "`throughput_recall` 0 beside `recall` 1; the step's note and a printed warning: the batch answers differently",
     main("batch_writes_nothing", *batch_differs)),
    ("batch_answers_garbage", "answers a batch with the farthest rows, single queries rightly",
     "the same", main("batch_answers_garbage", *batch_differs)),
    ("range_batch_delivers_nothing", "delivers nothing for a batch of range queries",
     "`range.throughput_recall` 0 beside `range.recall` 1; the same note and warning",
     main("range_batch_delivers_nothing", status("ok"), between("range/range/recall", 1, 1),
          between("range/range/throughput_recall", 0, 0),
          note("range", "(^|; )the batch answers differently"),
          printed("the batch answers differently"), summary("throughput_range_recall/range", 0, 0))),
    ("concurrent_readers_answer_nothing",
     "answers nothing to the threads of `w:concurrent`, and rightly to who asks afterwards",
     "`throughput_recall` of sampled answers is 0 beside `recall` 1; the same note",
     [("live", "concurrent_readers_answer_nothing", e) for e in (
         status("ok"), between("live/recall/mean", 1, 1), between("live/throughput_recall/mean", 0, .05),
         between("live/stats/sampled_answers", 1, 1e9),
         note("live", "answers? .*differently"))]),
    ("memoises", "remembers answers by the bytes of the query, whatever the knobs",
     "the cell is `failed`: it caches answers; with `repeated = true` it is `ok`, and the step says `repeated`",
     main("memoises", failed("caches answers"))
     + [("repeated", "memoises", all_points_ok), ("repeated", "memoises", equal("search/repeated", True)),
        ("repeated", "honest", all_points_ok)]),
    ("memoises_most", "the same, of four in five queries", "`failed`: it caches answers",
     main("memoises_most", failed("caches answers"))),
    ("memoises_other_points", "answers what it found at another point of the sweep, and searches else",
     "`failed`: it caches answers", main("memoises_other_points", failed("caches answers"))),
    ("caches_pages", "no lie: a query that is nearly the last one finds its pages in memory, which takes 4 ms else",
     "`ok`, and nothing is said of a cache", main("caches_pages", status("ok"), no_note("search", "asked before"))),
    ("delayed_in_rhythm", "no lie: the second and third of four searches take 4 ms more, as on a busy processor",
     "the same", main("delayed_in_rhythm", status("ok"), no_note("search", "asked before"))),
    ("work_in_stats", "inserts put rows aside; the index is built when statistics are asked for",
     "a warning of the cell: more time outside the clock than timed; `untimed_seconds` has it",
     main("work_in_stats", *outside_the_clock)),
    ("work_in_memory", "... when its memory is asked for", "the same", main("work_in_memory", *outside_the_clock)),
    ("work_in_check", "... in its check of itself", "the same", main("work_in_check", *outside_the_clock)),
    ("work_in_search_warmup", "... in the first search, which is the warm-up's", "the same",
     main("work_in_search_warmup", *outside_the_clock)),
    ("work_in_thread", "... in a thread of its own, awaited when statistics are asked for",
     "the same; `threads_used` 2", main("work_in_thread", *outside_the_clock, between("cell/threads_used", 2, 8))),
    ("work_in_child", "... in a child process, awaited when statistics are asked for; also where it says that it serves ranks",
     "the same",
     main("work_in_child", *outside_the_clock) + main("serves_work_in_child", *outside_the_clock)),
    ("two_threads", "answers half of a batch in a thread of its own on another processor, at `threads = 1`",
     "a note of the step: more processor time than its threads have; `threads_used` 2",
     main("two_threads", status("ok"), between("cell/threads_used", 2, 8), processors_noted)),
    ("all_processors", "takes all processors of the machine, before others, at `threads = 1`",
     "a warning of the cell: what it changed of its process",
     main("all_processors", status("ok"), warned("changed the (priority|processors) of its process"))),
    ("counts_nothing", "counts no distances", "`ok`, and `distances` is null, not 0",
     main("counts_nothing", status("ok"), equal("search/distances", None), equal("search/scanned", None))),
    ("closes_descriptors_and_hangs", "closes every descriptor, pipes included, then sleeps for ever",
     "`timeout` at the cell's limit", [("hang", "closes_descriptors_and_hangs", status("timeout"))]),
    ("stops_the_guard", "stops the process that is to end it, then sleeps for ever", "`timeout` at the cell's limit",
     [("stopped", "stops_the_guard", status("timeout"))]),
    ("kills_the_guard", "kills the process that is to end it, and goes on with a child process",
     "`failed`; both are ended, and named in a warning of the cell",
     [("killed", "kills_the_guard", failed("killed by SIGKILL")),
      ("killed", "kills_the_guard", warned("still running at the end of the cell, now killed: .*, "))]),
    ("leaves_segment", "leaves a System V shared memory segment for its next cell",
     "it is removed, and a warning of the cell names it",
     main("leaves_segment", status("ok"), warned(r"shared memory segment \d+ of \d+ bytes, now removed"))),
    ("exits_early", "ends its process with status 0 at the first insert", "`failed`: no end was reported",
     main("exits_early", failed("ended|missing"))),
    ("insert_done_half", "returns OK with `*done` half of the rows", "`failed`: reports 1500 of 3000 rows done",
     main("insert_done_half", failed("reports 1500 of 3000 rows done"))),
    ("insert_done_too_large", "returns OK with `*done` past the rows", "`failed`: reports 3007 of 3000 rows done",
     main("insert_done_too_large", failed("reports 3007 of 3000 rows done"))),
    ("remove_done_half", "returns OK with `*done` half of the ids to remove",
     "`failed`: reports 50 of 100 rows done", main("remove_done_half", failed("reports 50 of 100 rows done"))),
    ("work_assigned", "assigns the work counters of a call where it should add to them",
     "`ok`, and `distances` is right: each call has counters of its own",
     main("work_assigned", status("ok"), equal("search/distances", 3000), equal("after/distances", 2900))),
    ("work_negative", "counts minus five distances", "`failed`: a work counter is negative",
     main("work_negative", failed("work counter"))),
    ("work_nan", "counts NAN distances, which means that it cannot tell", "`ok`, `distances` null",
     main("work_nan", status("ok"), equal("search/distances", None))),
    ("reads_truth", "looks in all memory of its process for the ids of the true neighbours",
     "`ok`; it finds none (its statistic `truth_found` is 0)",
     main("reads_truth", status("ok"), equal("delete/stats/truth_found", 0))),
    ("reads_answers", "opens the stored answers of the cells before it",
     "a warning of the cell: answers of other cells were opened",
     main("reads_answers", status("ok"), warned(r"answers of other cells were opened.*: \d+\.answers"))),
    ("poisons_truth_cache",
     "answers every query with the same rows, and writes them as the truth into the cache, with its checksum",
     "the next run computes them again, and `truth.notes` says so",
     [("poisoned", "poisons_truth_cache", status("ok")), ("poisoned", "poisons_truth_cache", truth_noted),
      ("poisoned", "poisons_truth_cache", between("search/recall/mean", 0, .05)),
      ("poisoned", "honest", between("search/recall/mean", 1, 1))]),
    ("signs_poisoned_truths", "the same, with the key of the cache, which a method of the same user can read",
     "the next run measures one query of a stored truth again, finds it wrong, and computes all of it; an answer nearer than the truth has it "
     "would fail the cell",
     [("signed", "honest", between("search/recall/mean", 1, 1))]),
    ("forges_records", "writes records of steps at 1e9 per second on every pipe, and exits",
     "`failed`: a record that the harness did not write",
     main("forges_records", failed("a record that the harness did not write"))),
    ("forges_and_goes_on", "writes the same records, and goes on", "the same",
     main("forges_and_goes_on", failed("a record that the harness did not write"))),
    ("memory_memfd", "holds 64 MiB in a memory file", "`rss_bytes` counts them; past `--memory-limit` `out-of-memory`",
     held_memory("memory_memfd")),
    ("memory_child", "... in a child process", "the same", held_memory("memory_child")),
    ("memory_shm", "... in a file in /dev/shm that it has open", "the same", held_memory("memory_shm")),
    ("memory_shared_map", "... in a shared anonymous mapping", "the same", held_memory("memory_shared_map")),
    ("unknown_ids_overfetch", "answers ids that were never inserted, under `overfetch`, which drops dead ids",
     "`wrong_ids` counts them before they are dropped",
     main("unknown_ids_overfetch", status("ok"), between("after/wrong_ids", 1000, 6000))),
    ("stats_named_as_harness", "reports statistics `create_seconds` and `calls`, which the harness has too",
     "the harness's stay as measured; the method's are `method.create_seconds` and `method.calls`",
     main("stats_named_as_harness", status("ok"), equal("load/stats/calls", 1), equal("load/stats/method.calls", -5),
          between("end/stats/create_seconds", 0, 60), equal("end/stats/method.create_seconds", -5))),
    ("range_query_out_of_range", "delivers a range answer for a query number past the last",
     "`failed`: range answer for query Q, but there are only N queries",
     main("range_query_out_of_range", failed(r"range answer for query \d+, but there are only \d+ queries"))),
    ("writes_past_the_end", "writes one id past the end of its answers", "`failed`: wrote past the end of its answers",
     main("writes_past_the_end", failed("wrote past the end of its answers"))),
    ("unsorted_distances", "answers the second nearest before the nearest",
     "`failed`: answers of query Q are not in order of distance",
     main("unsorted_distances", failed(r"answers of query \d+ are not in order of distance"))),
    ("nan_distances", "answers with a distance of NaN", "`failed`: a distance of query Q is NaN",
     main("nan_distances", failed(r"a distance of query \d+ is NaN"))),
    ("negative_distances", "answers with a distance of -1 under squared L2", "`failed`: a distance is negative",
     main("negative_distances", failed("negative"))),
    ("exact_flag_recall_zero", "says that it is exact (`INDEX_EXACT`), and answers the farthest rows",
     "`failed`: claims to be exact (INDEX_EXACT), but its recall is 0",
     main("exact_flag_recall_zero", failed(r"claims to be exact \(INDEX_EXACT\), but its recall is"))),
    ("repeats_ids", "answers the nearest row k times",
     "`ok`; recall 1 / k, `wrong_ids` counts the repetitions",
     main("repeats_ids", status("ok"), between("search/recall/mean", .1, .1), equal("search/wrong_ids", 1800),
          between("search/throughput_wrong_ids", 900, 1800))),
    ("answers_deleted", "keeps half of the rows that it is to delete, and answers them",
     "a warning of the cell: how many answers are deleted ids; an exact method is `failed`, for that reason",
     main("answers_deleted", status("ok"), warned(r"\d+ answers are ids that were deleted.*first in \"after\""))
     + [("main", "exact_answers_deleted", failed(r"exact \(INDEX_EXACT\), but \d+ of its \d+ answers.* deleted"))]),
    ("square_roots", "reports the roots of the metric's distances",
     "a warning of the cell: they differ from the metric's; an exact method is `failed`, for that reason",
     main("square_roots", status("ok"), between("search/recall/mean", 1, 1),
          warned("distances are not those of l2: they differ from them by"))
     + [("main", "exact_square_roots", failed("its distances differ from those of l2"))]),
    ("rounds_answer_nothing", "answers nothing in paired rounds, and rightly in its cell",
     "the pair is not measured: it answers otherwise in rounds; a claim about their ratio is not judged",
     [("pairs", "rounds_answer_nothing", status("ok")),
      ("pairs", "rounds_answer_nothing", pair("not measured: rounds_answer_nothing answers otherwise in rounds than in its "
                                              "cell: recall 0.0000"))]),
    ("fails_at_the_end", "fails in its check of itself, which paired rounds do not reach",
     "`failed`; the pair is not measured, for that reason",
     [("pairs", "fails_at_the_end", failed("not whole")),
      ("pairs", "fails_at_the_end", pair("not measured: fails_at_the_end: its cell failed: .*not whole"))]),
    ("predicts_samples", "answers every 64th query of a thread of `w:concurrent`, which once were those scored",
     "`throughput_recall` is that of a random sample; the note that it differs from the recall afterwards",
     [("live", "predicts_samples", between("live/throughput_recall/mean", 0, .3)),
      ("live", "predicts_samples", note("live", "answers differently|differ"))]),
    ("stalls", "stalls in a paced step until after its end",
     "every request that was due meanwhile has its latency; a note counts them",
     [("paced", "honest", between("live/latency_ns/p50", 1, 1e8)), ("paced", "stalls", between("live/latency_ns/p50", 2e8, 1e9)),
      ("paced", "stalls", note("live", r"\d+ requests that were due had not begun at the end"))]),
    ("lazy_until_batch", "scans half of the rows until it is asked a batch, and all from then on",
     "`recall.timed`, which stands beside latencies, is that of the queries that were timed; a note of the step",
     main("lazy_until_batch", status("ok"), between("search/recall/timed", .4, .6), between("search/recall/mean", .7, .8),
          between("search/throughput_recall/mean", 1, 1), note("search", "timed queries answer differently: recall 0.[45]"))),
]


def table_text():
    rows = ["| mode | what the plugin does | what the result says |", "| --- | --- | --- |"]
    rows += [f"| `{mode}` | {does} | {says} |" for mode, does, says, _ in TABLE]
    return "\n".join(rows) + "\n"


def tap(so, words, seen):
    print(("ok - " if so else "not ok - ") + words)
    if not so:
        print("#   " + str(seen).replace("\n", " ")[:500])
    return so


def load(folder, run):
    try:
        with open(f"{folder}/{run}/result.json", encoding="utf-8") as f:
            result = json.load(f)
        with open(f"{folder}/{run}.out", encoding="utf-8", errors="replace") as f:
            return result, f.read()
    except OSError:
        return None


def check(folder, doc):
    runs, good = {}, True
    for mode, _, _, expectations in TABLE:
        for run, label, (words, is_so, seen) in expectations:
            if run not in runs:
                runs[run] = load(folder, run)
            cell = runs[run] and Cell(*runs[run], label)
            name = f"{mode} ({run}{'' if label == mode else ', ' + label}): {words}"
            if not cell or not cell.points:
                good &= tap(False, name, "there is no result of it")
                continue
            try:
                good &= tap(bool(is_so(cell)), name, seen(cell))
            except TypeError as e:  # a field that is not there
                good &= tap(False, name, e)
    with open(doc, encoding="utf-8") as f:
        good &= tap(table_text() in f.read(), f"{doc} has the table", "liar.py table prints it")
    return good


def modes_tested(given):
    """Every mode that the plugin has is in the table, and none besides."""
    names = [row[0] for row in TABLE]
    return tap(sorted(names) == sorted(given), "the table has every mode of the plugin, once",
               sorted(set(names) ^ set(given)))


if __name__ == "__main__":
    if sys.argv[1] == "table":
        print(table_text(), end="")
    elif sys.argv[1] == "modes":
        sys.exit(not modes_tested(sys.argv[2].split("|")))
    else:
        sys.exit(not check(sys.argv[2], sys.argv[3]))
