/* test_config.c - configs read and refused: every wrong one says where and why, and none gets out of the sandbox. */
#include "tests/testing.h"

#include <sys/stat.h>

#include "src/harness/experiment.h"
#include "src/harness/record.h"
#include "tests/toy_methods.h"

/* A config in a folder of its own, loaded with small bounds. */
struct desk {
    char dir[PATH_MAX], path[PATH_MAX + 16];
    struct registry registry;
    struct run_options options;
    struct override sets[4];
    struct experiment *experiment;
    struct error error;
    char said[200];
};

static int keep_line(void *to, const char *line)
{
    struct desk *d = to;
    (void)snprintf(d->said, sizeof d->said, "%s", line);
    return 0;
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void desk_open(struct desk *d)
{
    memset(d, 0, sizeof *d);
    test_dir_make(d->dir);
    (void)snprintf(d->path, sizeof d->path, "%s/test.lua", d->dir);
    d->registry = toy_registry();
    d->options = (struct run_options){ .root = d->dir,
                                       .cache = d->dir,
                                       .offline = true,
                                       .no_install = true,
                                       .script_instructions = 20000000,
                                       .script_bytes = 16 << 20,
                                       .sets = d->sets,
                                       .say = keep_line,
                                       .say_to = d };
}

static int desk_load(struct desk *d, const char *text)
{
    experiment_free(d->experiment);
    d->experiment = NULL;
    error_clear(&d->error);
    write_file(d->dir, "test.lua", text);
    return experiment_load(&d->experiment, d->path, &d->options, &d->registry, &d->error);
}

static void desk_close(struct desk *d)
{
    experiment_free(d->experiment);
    test_dir_remove(d->dir);
}

#define DATA "local data = synthetic { kind = 'mixture', rows = 1000, dim = 8 }\n"
#define FLAT "methods = { method { 'flat' } }, "
/* Lines 1 and 2, then the operations from line 3. */
#define RUN(steps)    DATA "experiment { " FLAT "workload = function(w)\n" steps "\nend }"
#define LOADED(steps) RUN("w:insert { data:rows(1, 100), tag = 'load' }\n" steps)
#define CODES(steps)                                                           \
    "local codes = synthetic { kind = 'uniform', rows = 100, clusters = 9 }\n" \
    "experiment { " FLAT "workload = function(w)\n w:insert { codes }\n" steps "\nend }"
#define WITH(entries)                                                                             \
    DATA "experiment { workload = function(w) w:insert { data } w:search { data:queries(5), tag " \
         "= 'q' } end,\n" entries " }"
#define METHOD(spec) WITH("methods = { method { 'divf',\n" spec " } }")

struct wrong {
    const char *name, *text, *expected;
};

static const struct wrong wrongs[] = {
    /* the file */
    { "syntax", "local x = = 1", ":1: unexpected symbol" },
    { "syntax, later", "\n\nexperiment { name = }", ":3: unexpected symbol" },
    { "runtime", "local x\nlocal y = x.field", ":2: attempt to index a nil value" },
    { "error() with a table", "\nerror({})", ":2: error() was called with table" },
    { "error() without a place", "\nerror('plain', 0)", ":2: plain" },
    { "nothing", "", ":1: the config never calls experiment" },
    { "bytecode", "\x1bLua", "attempt to load a binary chunk" },
    { "twice", RUN("w:insert { data }") "\nexperiment { }",
      ":5: a config has one experiment; line 2" },

    /* experiment */
    { "no table", "experiment(5)", ":1: experiment takes a table" },
    { "unknown key", "experiment {\n  titel = 'x' }",
      ":2: experiment: unknown key \"titel\"; did you mean \"title\"?" },
    { "key without a name", "experiment { 'drift' }", "every value has a name here" },
    { "k of text", WITH(FLAT "\n\nk = 'ten'"),
      ":5: experiment: \"k\" must be a whole number 1 .. 1048576, not \"ten\"" },
    { "k of zero", WITH(FLAT "k = 0"), "\"k\" must be a whole number 1 .. 1048576, not 0" },
    { "k of a half", WITH(FLAT "k = 1.5"), "\"k\" must be a whole number" },
    { "seeds", WITH(FLAT "seeds = -1"), "\"seeds\" must be" },
    { "timeout", WITH(FLAT "timeout = 0"),
      "\"timeout\" must be a number 0.001 .. 1000000000, not 0" },
    { "tell_size", WITH(FLAT "tell_size = 1"), "\"tell_size\" must be true or false, not 1" },
    { "warmup", WITH(FLAT "warmup = 1"), "\"warmup\" must be true or false, not 1" },
    { "name", WITH(FLAT "name = '../x'"), "\"name\" becomes a folder" },
    { "memory", WITH(FLAT "memory_limit = '4Q'"),
      "\"memory_limit\" must be a number of bytes or a text such as \"4G\"" },
    { "metric", WITH(FLAT "metric = 'cosin'"),
      "unknown metric \"cosin\"; did you mean \"cosine\"?" },
    { "no workload", "experiment { " FLAT "}", "\"workload\" must be a function" },
    { "no methods", WITH(""), "\"methods\" must be a list" },
    { "methods empty", WITH("methods = {}"), "\"methods\" is empty" },
    { "methods of text", WITH("methods = { 'flat' }"),
      "must be a method { ... } of its own, not \"flat\"" },
    { "one method twice",
      DATA "local m = method { 'flat' }\nexperiment { methods = { m, m }, workload = print }",
      ":3: experiment: \"methods\"[2] must be a method" },
    { "labels", WITH("methods = { method { 'flat' },\nmethod { 'flat' } }"),
      ":4: method \"flat\": line 3 has the label \"flat\" already" },
    { "empty workload", RUN(""), ":2: the workload has no operation" },

    /* methods */
    { "unknown method", WITH("methods = { method { 'dvif' } }"), ":3: " },
    { "unknown method, hint", WITH("methods = { method { 'dvif' } }"), "did you mean \"divf\"?" },
    { "method key", METHOD("parms = {}"),
      ":4: method \"divf\": unknown key \"parms\"; did you mean \"params\"?" },
    { "unknown parameter", METHOD("params = {\n softk = 2 }"),
      ":5: method \"divf\" has no parameter \"softk\"; did you mean \"soft_k\"?  (./harness "
      "describe divf)" },
    { "out of range", METHOD("params = { soft_k = 9 }"),
      ":4: method \"divf\": \"soft_k\" must be 1 .. 8, not 9" },
    { "a choice", METHOD("params = { storage = 'mmpa' }"), "did you mean \"mmap\"?" },
    { "knob under params", METHOD("params = { nprobe = 4 }"),
      "\"nprobe\" is a knob, set when the index is searched" },
    { "param under sweep", METHOD("sweep = { soft_k = { 1, 2 } }"),
      "write it under params or grid" },
    { "sweep of one", METHOD("sweep = { nprobe = 4 }"),
      "must be a list of values, as in { 1, 2, 4 }, not 4" },
    { "sweep of none", METHOD("sweep = { nprobe = {} }"), "not an empty one" },
    { "sweep twice", METHOD("sweep = { nprobe = { 1, 1 } }"), "the same value twice" },
    { "fixed and swept", METHOD("knobs = { nprobe = 1 }, sweep = { nprobe = { 1, 2 } }"),
      "fixed under knobs and varied" },
    { "ablation", METHOD("ablations = { ['no X'] = { capgr = false } }"),
      "did you mean \"caprg\"?" },
    { "ablation of nothing", METHOD("ablations = { ['no X'] = {} }"), "changes nothing" },
    { "label", METHOD("label = 'a[b]'"), "without [ ] / and control" },
    { "deletes", METHOD("deletes = 'filtre'"),
      "unknown deletes \"filtre\"; did you mean \"filter\"?" },
    { "element", METHOD("element = 'f23'"), "unknown element \"f23\"; did you mean \"f32\"?" },
    { "overfetch", METHOD("overfetch = 10"), "give that too" },
    { "overfetch of none", METHOD("deletes = 'filter', overfetch = 1"), "overfetch" },
    { "rebuild", METHOD("rebuild = 'lod'"),
      ":3: rebuild: no operation of the workload has the tag \"lod\"" },
    { "calibrate", METHOD("calibrate = { recall = 0.9 }"), "give it one" },
    { "replace", WITH("methods = { method { 'flat', deletes = 'replace' } }"),
      "it cannot replace deleted rows" },

    /* data */
    { "dataset", "\ndataset 'mnist'", "catalog.lua" },
    { "kind", "synthetic { kind = 'mixtur' }",
      ":1: synthetic: unknown kind \"mixtur\"; did you mean \"mixture\"?" },
    { "no kind", "synthetic { rows = 5 }", "kind = ... is missing" },
    { "synthetic option", "synthetic { kind = 'mixture',\nrow = 5 }",
      ":2: synthetic: kind \"mixture\" has no parameter \"row\"" },
    { "synthetic text", "synthetic { kind = 'mixture', rows = 'many' }",
      "must be a number, not \"many\"" },
    { "file", "\nfile 'nowhere.fvecs'", ":2: file: " },
    { "file option", "file { 'a.fvecs', elemnt = 'f32' }", "did you mean \"element\"?" },
    { "rows too many", DATA "local v = data:rows(1, 1001)",
      ":2: rows(first, last): last must be a whole number 1 .. 1000, not 1001" },
    { "rows from 0", DATA "local v = data:rows(0, 10)",
      "first must be a whole number 1 .. 1000, not 0" },
    { "rows backwards", DATA "local v = data:rows(5, 4)",
      "last must be a whole number 5 .. 1000, not 4" },
    { "sample", DATA "local v = data:sample(0)", "n must be a whole number 1 .. 1000, not 0" },
    { "view method", DATA "local v = data:row(1, 2)",
      "a view has no \"row\"; did you mean \"rows\"?" },
    { "concat", DATA "local v = data .. 5", "`..` joins two views; one side is 5" },
    { "dims", DATA "local v = data .. synthetic { kind = 'mixture', rows = 10, dim = 9 }",
      "do not go into one view" },
    { "sort_by", DATA "local v = data:sort_by('time')", "has no part \"time\" to sort by" },
    { "queries of all", DATA "local v = data:queries()", "say how many" },

    /* operations */
    { "unknown operation", RUN("w:insret { data }"),
      ":3: w has no operation \"insret\"; did you mean \"insert\"?" },
    { "operation key", RUN("w:insert { data, tga = 'x' }"),
      ":3: w:insert: unknown key \"tga\"; did you mean \"tag\"?" },
    { "no view", RUN("w:insert { tag = 'x' }"), ":3: w:insert: a view comes first" },
    { "two views", RUN("w:insert { data, data }"), "its list has at most 1 item" },
    { "dot", RUN("w.insert { data }"), "called with a colon" },
    { "twice the same", RUN("w:insert { data:rows(1, 9) }\nw:insert { data:rows(9, 20) }"),
      ":4: w:insert: row 9 of synthetic mixture rows=1000 dim=8 latent=8 seed=1 (id 8) is live "
      "already" },
    { "twice in one", RUN("w:insert { data:rows(1, 3) .. data:rows(3, 5) }"),
      "(id 2) is live already" },
    { "queries stored", RUN("w:insert { data:queries(5) }"), "rows of a query set" },
    { "delete what is not", LOADED("w:delete { data:rows(100, 101) }"),
      ":4: w:delete: row 101 of" },
    { "delete twice", LOADED("w:delete { ids = { 3, 3 } }"), "w:delete: id 3 is named twice" },
    { "delete ids", LOADED("w:delete { ids = { 100 } }"), "id 100 was never inserted" },
    { "delete too many", LOADED("w:delete { random = 101 }"),
      "random = 101, but 100 are live here" },
    { "delete two ways", LOADED("w:delete { random = 1, oldest = 1 }"), "2 are given" },
    { "update", LOADED("w:update { data:rows(1, 2), with = data:rows(101, 103) }"),
      "2 rows are to get new vectors, but `with` has 3" },
    { "search first", RUN("w:search { data:queries(5) }"), ":3: w:search: nothing is live here" },
    { "k above live", LOADED("w:search { data:queries(5), k = 101 }"),
      ":4: w:search: k = 101, but only 100 rows are live" },
    { "range", LOADED("w:range { data:queries(5) }"), "radius = ... is missing" },
    { "radius", LOADED("w:range { data:queries(5), radius = -1 }"), "radius = -1 is below 0" },
    { "radius of text", LOADED("w:range { data:queries(5), radius = 0/0 }"),
      ":4: w:range: \"radius\" must be a number" },
    { "radius past 64", CODES("w:range { codes:queries(5), radius = 65 }"),
      ":4: w:range: radius = 65 is no number of differing bits: expected a whole number 0 .. 64" },
    { "radius below 0", CODES("w:range { codes:queries(5), radius = -1 }"), "radius = -1 is no" },
    { "radius of a half", CODES("w:range { codes:queries(5), radius = 2.5 }"),
      "radius = 2.5 is no number of differing bits" },
    { "planted", CODES("w:range { codes:queries(5), radius = 5, planted = 0 }"),
      ":4: w:range: \"planted\" must be a whole number 1 .." },
    { "planted of a search", CODES("w:search { codes:queries(5), planted = 10 }"),
      "w:search: unknown key \"planted\"" },
    { "baseline", WITH(FLAT "\n\nfigures = { { 'radius', baseline = 'flta' } }"),
      ":5: figures: baseline: no method has the label \"flta\"; did you mean \"flat\"?" },
    { "baseline of bars", WITH(FLAT "figures = { { 'bars', baseline = 'flat' } }"),
      "\"baseline\" is for figures of kind radius" },
    { "filter", LOADED("w:search { data:queries(5), filter = { tag = 'laod' } }"),
      "did you mean \"load\"?" },
    { "filter of two",
      LOADED("w:search { data:queries(5), filter = { tag = 'load', fraction = 1 } }"),
      "exactly one of" },
    { "replacing nothing", LOADED("w:concurrent { data:queries(5), removes = 'oldest' }"),
      "removes: one row for each that is written" },
    { "replacing too few",
      LOADED("w:concurrent { data:queries(5), writes = data:rows(500, 502), removes = { 1, 2 } }"),
      "there are 3 to write and 2 to remove" },
    { "replacing the dead",
      LOADED("w:concurrent { data:queries(5), writes = data:rows(500, 500), removes = { 999 } }"),
      "id 999 was never inserted" },
    { "replacing how",
      LOADED("w:concurrent { data:queries(5), writes = data:rows(500, 500), removes = 'newest' }"),
      "\"removes\" must be \"oldest\", \"random\", a view or a list of ids" },
    { "until when", LOADED("w:concurrent { data:queries(5), seconds = 0 }"),
      "until the writers are done, and there are none" },
    { "reload", LOADED("w:reload {}"), "nothing was saved yet" },
    { "reload changed", LOADED("w:save {}\nw:delete { oldest = 1 }\nw:reload {}"),
      ":6: w:reload: rows changed" },
    { "commit without", LOADED("w:commit {}"),
      ":4: w:commit: no transaction is open here: w:begin comes first" },
    { "rollback without", LOADED("w:begin {}\nw:commit {}\nw:rollback {}"),
      ":6: w:rollback: no transaction is open" },
    { "begin inside", LOADED("w:begin {}\nw:begin {}"),
      ":5: w:begin: not inside the transaction that began on line 4" },
    { "maintain inside", LOADED("w:begin {}\nw:maintain {}"),
      "w:maintain: not inside the transaction" },
    { "save inside", LOADED("w:begin {}\nw:save {}"), "w:save: not inside the transaction" },
    { "snapshot inside", LOADED("w:begin {}\nw:snapshot { name = 'a' }"),
      "w:snapshot: not inside the transaction" },
    { "train inside", LOADED("w:begin {}\nw:train { data:rows(1, 9) }"), "w:train: not inside" },
    { "concurrent inside", LOADED("w:begin {}\nw:concurrent { data:queries(5) }"),
      "w:concurrent: not inside" },
    { "no end", LOADED("w:begin {}\nw:delete { oldest = 1 }"),
      "ends inside the transaction that began on line 4" },
    { "what went inside", LOADED("w:begin {}\nw:delete { ids = { 3 } }\nw:delete { ids = { 3 } }"),
      ":6: w:delete: id 3 is not live here" },
    { "what never came",
      LOADED("w:begin {}\nw:insert { data:rows(300, 300) }\nw:rollback {}\n"
             "w:delete { data:rows(300, 300) }"),
      ":7: w:delete: row 300 of" },
    { "asked too early", RUN("w:begin {}\nw:insert { data }\nw:search { data:queries(5) }"),
      ":5: w:search: nothing is live here: w:insert and w:commit comes first" },
    { "snapshot without", LOADED("w:snapshot {}"), "name = \"...\" is missing" },
    { "snapshot twice", LOADED("w:snapshot { name = 'a' }\nw:snapshot { name = 'a' }"),
      ":5: w:snapshot: snapshot \"a\" is held already" },
    { "snapshot of nothing", RUN("w:snapshot { name = 'a' }"), "nothing is live here" },
    { "release twice",
      LOADED("w:snapshot { name = 'a' }\nw:release { name = 'a' }\nw:release { name = 'a' }"),
      ":6: w:release: no snapshot \"a\" is held here" },
    { "as of what",
      LOADED("w:snapshot { name = 'before' }\nw:search { data:queries(5), as_of = 'befor' }"),
      ":5: w:search: no snapshot \"befor\" is held here; did you mean \"before\"?" },
    { "recover over a snapshot", LOADED("w:snapshot { name = 'a' }\nw:recover {}"),
      "w:recover: snapshot \"a\" is of the index that this ends" },
    { "k above the past",
      LOADED("w:snapshot { name = 'a' }\nw:insert { data:rows(101, 200) }\n"
             "w:search { data:queries(5), k = 101, as_of = 'a' }"),
      ":6: w:search: k = 101, but only 100 rows are live" },
    { "attributes", RUN("w:insert { data, attribute = 5 }"),
      ":3: w:insert: \"attribute\" must be { classes" },
    { "attribute of both", RUN("w:insert { data, attribute = { classes = 5, values = { 1 } } }"),
      "either classes, with skew or without, or values" },
    { "attribute key", RUN("w:insert { data, attribute = { clases = 5 } }"),
      "did you mean \"classes\"?" },
    { "too few attributes", RUN("w:insert { data, attribute = { values = { 1, 2 } } }"),
      ":3: w:insert: attribute: 2 values for 1000 rows" },
    { "no attribute", RUN("w:insert { data:rows(1, 2), attribute = { values = { 1, -1 } } }"),
      "an attribute is a whole number 0 .. 4294967294, not -1" },
    { "where", LOADED("w:search { data:queries(5), where = { 5 } }"),
      ":4: w:search: \"where\" must be { low, high }" },
    { "where backwards", LOADED("w:search { data:queries(5), where = { 5, 4 } }"),
      "\"where\": 5 is above 4" },
    { "where nothing is", LOADED("w:search { data:queries(5), where = { 4, 5 } }"),
      "where: nothing that it allows is live here" },
    { "where and filter",
      LOADED("w:search { data:queries(5), where = { 4, 5 }, filter = { fraction = 1 } }"),
      "filter and where at once" },
    { "tag", LOADED("w:search { data:queries(5), tag = 'a/b' }"), "without / # and control" },
    { "dim", LOADED("w:search { synthetic { kind = 'mixture', rows = 9, dim = 9 } }"),
      "has dimension 9, but" },
    { "metrics", LOADED("w:search { synthetic { kind = 'sphere', rows = 9, dim = 8 } }"),
      "say metric = ... in the experiment" },
    { "pcall'd", LOADED("pcall(w.delete, w, { ids = { 999 } })\nw:search { data:queries(5) }"),
      "the workload went on after an error: id 999 was never inserted" },
    { "after",
      DATA "local kept\nexperiment { " FLAT
           "workload = function(w) w:insert { data } kept = w end,\n"
           "claims = { { 'x', 5 } } }",
      "claim 1 must be { \"text\", function(r) ... end }" },
    { "runbook", LOADED("w:runbook { 'none.yaml', data }"), "none.yaml" },

    /* what is expected of the results */
    { "paper label", WITH(FLAT "paper = { ['falt'] = { ['recall@10/q'] = 1 } }"),
      "did you mean \"flat\"?" },
    { "paper metric", WITH(FLAT "paper = { flat = { ['recal@10/q'] = 1 } }"),
      "unknown metric \"recal@10\"" },
    { "paper tag", WITH(FLAT "\npaper = {\nflat = { ['recall@10/p'] = 1 } }"),
      ":5: paper: no operation of the workload has the tag \"p\"" },
    { "figure kind", WITH(FLAT "figures = { { 'paretto' } }"), "did you mean \"pareto\"?" },
    { "figure key", WITH(FLAT "figures = { { 'bars', z = 'qps' } }"),
      "figure 1: unknown key \"z\"" },
    { "figure metric", WITH(FLAT "figures = { { 'bars', y = 'qpss' } }"), "did you mean \"qps\"?" },
    { "figure part", WITH(FLAT "figures = { { 'bars', y = 'parts.grahp' } }"),
      "unknown metric or option \"parts.grahp\"" },
    { "figure tag", WITH(FLAT "figures = { { 'bars', where = { tag = 'qq' } } }"),
      "has the tag \"qq\"" },

    /* the sandbox */
    { "io", "io.open('x')", "attempt to index a nil value (global 'io')" },
    { "os", "os.exit(0)", "attempt to index a nil value (global 'os')" },
    { "debug", "debug.getregistry()", "attempt to index a nil value (global 'debug')" },
    { "package", "package.loadlib('x', 'y')", "attempt to index a nil value (global 'package')" },
    { "dofile", "dofile('/etc/passwd')", "attempt to call a nil value (global 'dofile')" },
    { "loadfile", "loadfile('/etc/passwd')", "attempt to call a nil value (global 'loadfile')" },
    { "dump", "string.dump(print)", "attempt to call a nil value (field 'dump')" },
    { "load bytecode", "assert(load('\\27Lua'))", "attempt to load a binary chunk" },
    { "require up", "require '../secret'", "only names of files in configs/lib" },
    { "require root", "require '/etc/passwd'", "only names of files in configs/lib" },
    { "require none", "require 'comon'",
      "there is no comon.lua in configs/lib; did you mean \"common\"?" },
    { "require itself", "require 'loop'", "loop.lua:2: require \"loop\": it requires itself" },
    { "random", "\nmath.random()", ":2: math.random is not seeded" },
    { "gc", "setmetatable({}, { __gc = function() end })", "__gc is not for configs" },

    /* hashes of images */
    { "hashes of nothing", "hashes { kind = 'dhash' }",
      ":1: hashes: a view of images comes first" },
    { "hashes of floats", DATA "hashes { data, kind = 'dhash' }",
      ":2: hashes: images are rows of u8, not f32" },
    { "hashes of a kind", DATA "hashes { data, kind = 'dhahs' }", "did you mean \"dhash\"?" },
    { "hashes without", DATA "hashes { data }", "kind = ... is missing" },

    /* what would command a terminal */
    { "tag", LOADED("w:search { data:queries(5), tag = 'a\\27[2Jb' }"), "control characters" },
    { "tag of C1", LOADED("w:search { data:queries(5), tag = 'a\\194\\155b' }"),
      "control characters" },
    { "label", METHOD("label = 'a\\27[2Jb'"), "control characters" },
    { "title", WITH(FLAT "title = 'a\\127b'"), "control characters" },
    { "claim", WITH(FLAT "claims = { { 'a\\7b', function(r) return true end } }"),
      "control characters" },

    /* the bounds */
    { "endless", "\nwhile true do end",
      ":2: config ran more than 20000000 instructions; an endless loop?" },
    { "endless pcall", "while true do pcall(function() while true do end end) end",
      "an endless loop?" },
    { "endless error", "local function f() return pcall(f) end\nwhile true do pcall(f) end",
      "an endless loop?" },
    { "endless coroutine",
      "while true do coroutine.wrap(function() for i = 1, 50 do end end)() end",
      "an endless loop?" },
    { "endless yield",
      "local c = coroutine.wrap(function() while true do pcall(coroutine.yield) end end)\nwhile "
      "true do c() end",
      "an endless loop?" },
    { "endless rep", "local s = ('x'):rep(1 << 20) while true do pcall(string.rep, s, 4) end",
      "an endless loop?" },
    { "empty rep", "local s = (''):rep(1 << 62) error('done')", "done" },
    { "recursion", "local function f() return 1 + f() end f()", "take more than 16 MiB" },
    { "memory", "local t = {}\nfor i = 1, 1e9 do t[i] = i end", "take more than 16 MiB" },
    { "memory of text", "local s = 'x'\nwhile true do s = s .. s end",
      ":2: a string of more than 1024 KiB" },
    { "memory, caught",
      "while true do pcall(function() local s = 'x' while true do s = s .. s end end) end",
      "an endless loop?" },
    { "pattern", "local s = ('a'):rep(5000) s:find('.-.-.-.-b')", "could take too long" },
    { "length", "table.insert(setmetatable({}, { __len = function() return 1 << 53 end }), 1, 1)",
      "plain tables" },
    { "operations", LOADED("while true do w:checkpoint 'x' end"),
      ":4: w:checkpoint: a workload of more than 1000000 operations" },
};

static void test_wrong_configs(void **state)
{
    (void)state;
    struct desk d;
    size_t failures = 0;
    desk_open(&d);
    char lib[PATH_MAX + 8];
    (void)snprintf(lib, sizeof lib, "%s/lib", d.dir);
    assert_int_equal(mkdir(lib, 0700), 0);
    write_file(lib, "common.lua", "return { k = 7 }");
    write_file(lib, "loop.lua", "\nrequire 'loop'");
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        const struct wrong *w = &wrongs[i];
        const int rc = desk_load(&d, w->text);
        const bool placed = strncmp(d.error.text, d.dir, strlen(d.dir)) == 0;
        if (rc != OK && placed && strstr(d.error.text, w->expected))
            continue;
        fprintf(stderr, "\"%s\": expected \"%s\", got %s: %s\n", w->name, w->expected,
                error_name(rc), rc ? d.error.text : "no error");
        failures++;
    }
    desk_close(&d);
    assert_int_equal(failures, 0);
}

static const struct op *op_at(const struct desk *d, size_t i)
{
    assert_true(i < d->experiment->ops->n);
    return &d->experiment->ops->ops[i];
}

static void test_operations(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    assert_ok(
        desk_load(
            &d, DATA
            "local other = synthetic { kind = 'mixture', rows = 50, dim = 8, seed = 2 }\n"
            "experiment { name = 'ops', k = 3, " FLAT "workload = function(w)\n"
            "  w:train { data:rows(1, 10) }\n"
            "  w:insert { data:rows(11, 20), tag = 'a', batch = 4, singles = 2 }\n"
            "  assert(w.live == 10)\n"
            "  w:insert { other .. data:rows(1, 10), tag = 'b' }\n"
            "  w:delete { data:rows(12, 13) }\n"
            "  w:insert { data:rows(12, 12) }\n"
            "  w:update { data:rows(11, 12), with = data:rows(500, 501) }\n"
            "  w:search { data:queries(7), k = 5, tag = 'q' }\n"
            "  w:range { data:queries(7), radius = 2.5, planted = 10, filter = { tag = 'a' } }\n"
            "  w:save {} w:reload {} w:maintain { budget = 99 }\n"
            "  w:checkpoint 'end'\n"
            "  w:concurrent { data:queries(4), writes = data:rows(101, 110), readers = 2, "
            "seconds = 0.5 }\n"
            "  w:delete { oldest = 1 }\n"
            "  w:concurrent { data:queries(4), writes = data:rows(111, 114), removes = 'oldest', "
            "readers = 0, seconds = 0 }\n"
            "  w:concurrent { data:queries(4), writes = data:rows(115, 116), removes = { 78, 77 } "
            "}\n"
            "  w:recover {}\n"
            "  w:search { data:queries(7), cold = true }\n"
            "end }"),
        &d.error);
    const struct op_list *list = d.experiment->ops;
    assert_int_equal(list->n, 18);
    assert_int_equal(op_at(&d, 0)->kind, OP_TRAIN);
    assert_int_equal(op_at(&d, 1)->batch, 4);
    assert_int_equal(op_at(&d, 1)->singles, 2);
    assert_int_equal(op_at(&d, 1)->ids[9], 9);
    assert_int_equal(op_at(&d, 2)->ids[0], 10);
    assert_int_equal(op_at(&d, 2)->ids[59], 69);
    assert_int_equal(op_at(&d, 3)->ids[1], 2);
    assert_int_equal(op_at(&d, 4)->ids[0], 1);
    assert_int_equal(op_at(&d, 5)->ids[1], 1);
    assert_int_equal(op_at(&d, 6)->k, 5);
    assert_string_equal(op_at(&d, 6)->tag, "q");
    assert_int_equal(op_at(&d, 6)->line, 11);
    /* Of the ten of tag a, the one that was deleted is not allowed. */
    assert_int_equal(op_at(&d, 7)->filter_bits[0], 0x3ff & ~(1 << 2));
    assert_int_equal(op_at(&d, 7)->planted, 10);
    assert_int_equal(op_at(&d, 10)->budget, 99);
    assert_int_equal(op_at(&d, 12)->n, 10);
    assert_int_equal(op_at(&d, 12)->live_after, 79);
    assert_int_equal(op_at(&d, 13)->ids[0], 0);
    assert_int_equal(op_at(&d, 14)->live_after, 78);
    assert_int_equal(op_at(&d, 14)->writers, 1);
    assert_int_equal(op_at(&d, 14)->removes[3], 6); /* 0 and 2 are gone, 1 came back later */
    assert_int_equal(op_at(&d, 15)->removes[0], 78);
    assert_int_equal(op_at(&d, 16)->kind, OP_RECOVER);
    assert_true(op_at(&d, 17)->cold);
    assert_false(op_at(&d, 7)->cold);
    assert_int_equal(list->max_k, 10 > list->max_k ? list->max_k : 10);
    assert_int_equal(list->max_live, 79);
    assert_int_equal(list->n_datasets, 4);
    desk_close(&d);
}

static void test_settings(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    const char *text =
        "-- what it is,\n--\n--and why\n" DATA "-- no more of it\n"
        "local n = option('n', 10, 'rows') local mode = option('mode', 'fast')\n"
        "print('mode', mode, n)\n"
        "experiment { seed = 4, seeds = 2, repeats = 3, threads = 2, timeout = 60, "
        "memory_limit = '2G', warmup = false, tell_size = false,\n"
        "workload = function(w) w:insert { data:rows(1, n) } w:search { data:queries(2), k = "
        "2 } end,\n"
        "methods = { method { 'divf', label = 'A', params = { soft_k = 2, caprg = false, "
        "factory = 'IVF4,Flat' },\n"
        "  sweep = { rerank = { 1, 2 }, nprobe = { 1, 4 } }, ablations = { { 'z', { soft_k = "
        "1 } }, { 'a', { caprg = true } } },\n"
        "  calibrate = { recall = 0.9 }, deletes = 'replace', rebuild = 'insert' } },\n"
        "paper = { ['A[nprobe=4,rerank=1]'] = { ['recall@2/search'] = 0.5 } },\n"
        "figures = { { 'pareto', x = 'distances', y = { 'recall@2' }, where = { label = 'A', "
        "tag = { 'search' } }, title = 'T' },\n"
        "  { 'memory', y = 'parts' }, { 'sizes', y = 'postings.entries' }, "
        "{ 'profile', y = { 'radius.candidates', 'radius.covered' } }, { 'bars', y = "
        "'parts.graph', where = { tag = 'end' } } } }";
    assert_ok(desk_load(&d, text), &d.error);
    const struct experiment *x = d.experiment;
    assert_string_equal(x->about, "what it is,\n\nand why");
    assert_string_equal(d.said, "mode fast 10");
    assert_string_equal(x->name, "test");
    assert_int_equal(x->seed, 4);
    assert_int_equal(x->seeds * x->repeats, 6);
    assert_int_equal(x->memory_limit, (uint64_t)2 << 30);
    assert_false(x->warmup);
    assert_true(x->size_untold);
    assert_int_equal(strlen(x->config_sha256), 64);
    const struct method_spec *m = &x->methods[0];
    assert_string_equal(json_string_value(json_object_get(m->params, "factory")), "IVF4,Flat");
    assert_true(json_is_false(json_object_get(m->params, "caprg")));
    assert_string_equal(json_object_iter_key(json_object_iter(m->sweep)), "nprobe");
    assert_string_equal(json_object_iter_key(json_object_iter(m->ablations)), "z");
    assert_int_equal(m->deletes, DELETES_REPLACE);
    assert_true(fabs(m->calibrate_recall - 0.9) < 1e-12);
    assert_true(fabs(x->paper[0].published - 0.5) < 1e-12);

    /* The command line goes before the config, --quick before both but for --repeats. */
    d.sets[0] = (struct override){ "n", "20", false };
    d.sets[1] = (struct override){ "A.nprobe", "2,8,16", false };
    d.sets[2] = (struct override){ "divf.soft_k", "3", false };
    d.sets[3] = (struct override){ "k", "5", false };
    d.options.n_sets = 4;
    d.options.quick = true;
    d.options.has_seed = true;
    d.options.seed = 99;
    assert_ok(desk_load(&d, text), &d.error);
    x = d.experiment;
    assert_int_equal(x->seeds * x->repeats, 1);
    assert_int_equal(x->seed, 99);
    assert_int_equal(x->k, 5);
    assert_int_equal(x->ops->ops[0].n, 20);
    assert_int_equal(json_array_size(json_object_get(x->methods[0].sweep, "nprobe")), 3);
    assert_int_equal(json_integer_value(json_object_get(x->methods[0].params, "soft_k")), 3);
    assert_int_equal(json_object_size(x->overrides), 6);

    static const struct {
        const char *key, *value, *expected;
    } bad[] = {
        { "sed", "1", "did you mean \"seed\"?" },
        { "divf.nprob", "1", "did you mean \"nprobe\"?" },
        { "divv.nprobe", "1", "did you mean \"divf.nprobe\"?" },
        { "n", "many", "--set n=many: option \"n\" is a number" },
        { "k", "many", "\"k\" must be a whole number" },
        { "A.soft_k", "1,99", "\"soft_k\" must be 1 .. 8" },
    };
    d.options.n_sets = 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        d.sets[0] = (struct override){ (char *)(uintptr_t)bad[i].key,
                                       (char *)(uintptr_t)bad[i].value, false };
        assert_int_not_equal(desk_load(&d, text), OK);
        if (!strstr(d.error.text, bad[i].expected))
            fail_msg("--set %s=%s: %s", bad[i].key, bad[i].value, d.error.text);
    }
    desk_close(&d);
}

static double look_up(void *from, const char *label, const char *metric)
{
    (void)from;
    return !strcmp(label, "flat") && !strcmp(metric, "recall@10/q") ? 0.75 : NAN;
}

static void test_claims(void **state)
{
    (void)state;
    struct desk d;
    json_t *out;
    desk_open(&d);
    assert_ok(
        desk_load(
            &d, WITH(FLAT "claims = {\n"
                          "{ 'holds', function(r) return r('flat', 'recall@10/q') > 0.7 end },\n"
                          "{ 'does not', function(r) return r('flat', 'recall@10/q') > 0.8 end },\n"
                          "{ 'misses', function(r) return r('flat', 'qps/q') > 1 end },\n"
                          "{ 'misspelt', function(r) return r('flta', 'qps/q') > 1 end },\n"
                          "{ 'no answer', function(r) return 5 end },\n"
                          "{ 'endless', function(r) while true do end end },\n"
                          "{ 'reads nothing', function(r) return true end },\n"
                          "{ 'reads in no turn', function(r) for i = 1, 0 do r('flat', 'qps/q') "
                          "end return true end },\n"
                          "{ 'goes on without', function(r) r('flat', 'recall@10/q') pcall(r, "
                          "'flat', 'qps/q') return true end } }")),
        &d.error);
    assert_ok(experiment_claims(d.experiment, look_up, NULL, &out, &d.error), &d.error);
    assert_int_equal(json_array_size(out), 9);
    assert_true(json_is_true(json_object_get(json_array_get(out, 0), "holds")));
    assert_true(json_is_false(json_object_get(json_array_get(out, 1), "holds")));
    json_t *values = json_object_get(json_array_get(out, 1), "values");
    assert_true(fabs(json_real_value(json_object_get(values, "flat recall@10/q")) - 0.75) < 1e-12);
    static const char *const expected[] = { "test.lua:6: r: no such result: \"qps/q\" of \"flat\"",
                                            "did you mean \"flat\"?",
                                            "must return true or false",
                                            "an endless loop?",
                                            "asked for no result",
                                            "asked for no result",
                                            "no such result: \"qps/q\" of \"flat\"" };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const json_t *claim = json_array_get(out, i + 2);
        assert_true(json_is_null(json_object_get(claim, "holds")));
        if (!strstr(json_string_value(json_object_get(claim, "why")), expected[i]))
            fail_msg("claim %zu: %s", i + 2, json_string_value(json_object_get(claim, "why")));
    }
    json_decref(out);
    desk_close(&d);
}

/* Whatever makes a config differ from run to run is gone. */
static void test_repeatable(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    const char *text = DATA "local order = ''\n"
                            "for k in pairs { z = 1, alpha = 2, [3] = 0, [1] = 0, m = 5, [true] = "
                            "1 } do order = order .. tostring(k) .. ' ' end\n"
                            "print(order)\n"
                            "experiment { " FLAT "workload = function(w)\n"
                            "  w:insert { data:shuffle():rows(1, 300) } w:delete { random = 50 }\n"
                            "  w:search { data:sample(9), filter = { fraction = 0.1 } }\n"
                            "  local list = w.rng:shuffle { 1, 2, 3, 4, 5 }\n"
                            "  assert(#list == 5) w:delete { random = w.rng:int(10, 60) }\n"
                            "end }";
    uint64_t first[3] = { 0 };
    for (int round = 0; round < 2; round++) {
        assert_ok(desk_load(&d, text), &d.error);
        assert_string_equal(d.said, "1 3 alpha m z true ");
        uint64_t sums[3] = { 0 };
        for (size_t i = 0; i < op_at(&d, 1)->n; i++)
            sums[0] = rng_mix(sums[0], op_at(&d, 1)->ids[i]);
        for (size_t i = 0; i < 5; i++)
            sums[1] = rng_mix(sums[1], op_at(&d, 2)->filter_bits[i]);
        sums[2] = op_at(&d, 3)->n;
        size_t allowed = 0;
        for (size_t i = 0; i < 5; i++)
            allowed += (size_t)__builtin_popcountll(op_at(&d, 2)->filter_bits[i]);
        assert_int_equal(allowed, 25);
        if (round == 0)
            memcpy(first, sums, sizeof first);
        assert_memory_equal(first, sums, sizeof first);
    }
    desk_close(&d);
}

static void test_runbook(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    write_file(
        d.dir, "book.yaml",
        "big:\n  max_pts: 10000\n  1:\n    operation: insert\n    start: 0\n    end: 10000\n"
        "  2:\n    operation: search\n  3:\n    operation: delete\n    start: 2000\n    end: 4000\n"
        "  4:\n    operation: replace\n    tags_start: 0\n    tags_end: 1000\n    ids_start: "
        "9000\n    ids_end: 10000\n"
        "  5:\n    operation: search\n");
    assert_ok(desk_load(&d, RUN("w:runbook { 'book.yaml', data, queries = data:queries(5), k = 4, "
                                "dataset = 'big' }")),
              &d.error);
    assert_int_equal(d.experiment->ops->n, 5);
    assert_int_equal(op_at(&d, 0)->n, 1000);
    assert_int_equal(op_at(&d, 1)->k, 4);
    assert_int_equal(op_at(&d, 2)->n, 200);
    assert_int_equal(op_at(&d, 2)->ids[0], 200);
    assert_int_equal(op_at(&d, 3)->n, 100);
    assert_int_equal(op_at(&d, 3)->rows->segments[0].first, 900);
    assert_string_equal(op_at(&d, 3)->tag, "replace");
    assert_int_equal(op_at(&d, 4)->live_after, 800);
    assert_int_not_equal(desk_load(&d, RUN("w:runbook { 'book.yaml', data }")), OK);
    assert_non_null(strstr(d.error.text, "say queries = view"));
    assert_int_not_equal(
        desk_load(
            &d,
            RUN("w:insert { data:rows(5, 5) }\nw:runbook { 'book.yaml', data, queries = data }")),
        OK);
    assert_non_null(strstr(d.error.text, "test.lua:4: w:runbook: "));
    assert_non_null(strstr(d.error.text, "book.yaml:3: step 1: row 5"));
    desk_close(&d);
}

static void test_files(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    write_file(d.dir, "base.csv", "1,2\n3,4\n5,6\n7,8\n");
    write_file(d.dir, "ask.csv", "1,1\n2,2\n");
    write_file(d.dir, "when.txt", "40\n10\n30\n20\n");
    char lib[PATH_MAX + 8];
    (void)snprintf(lib, sizeof lib, "%s/lib", d.dir);
    assert_int_equal(mkdir(lib, 0700), 0);
    write_file(lib, "common.lua", "return { k = 3 }");
    assert_ok(desk_load(&d,
                        "local common = require 'common'\n"
                        "assert(require 'common' == common)\n"
                        "local data = file { 'base.csv', queries = 'ask.csv', time = 'when.txt' }\n"
                        "assert(#data == 4 and data.dim == 2 and #data:queries() == 2)\n"
                        "experiment { k = common.k, " FLAT "workload = function(w)\n"
                        "  w:insert { data:sort_by 'time' } w:search { data:queries(1) }\nend }"),
              &d.error);
    float row[2];
    assert_int_equal(op_at(&d, 1)->k, 3);
    assert_ok(op_list_vector(d.experiment->ops, 0, 1, ELEMENT_F32, row, &d.error), &d.error);
    assert_true(row[0] == 3);
    assert_ok(op_list_vector(d.experiment->ops, 3, 1, ELEMENT_F32, row, &d.error), &d.error);
    assert_true(row[0] == 1);
    desk_close(&d);
    desk_open(&d);
    write_file(d.dir, "base.csv", "key,1,2\n7,1,2\n9,3,4\n");
    write_file(d.dir, "ask.csv", "key,1,2\n8,1,1\n");
    assert_ok(
        desk_load(&d,
                  "local data = file { 'base.csv', queries = 'ask.csv', id = 1, header = true }\n"
                  "assert(#data == 2 and data.dim == 2 and #data:queries() == 1)\n"
                  "local plain = file { 'base.csv', id = 0, header = true }\n"
                  "assert(#plain == 2 and plain.dim == 3)\n"
                  "experiment { k = 1, " FLAT "workload = function(w)\n"
                  "  w:insert { data } w:search { data:queries() }\nend }"),
        &d.error);
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_configs), cmocka_unit_test(test_operations),
        cmocka_unit_test(test_settings),      cmocka_unit_test(test_claims),
        cmocka_unit_test(test_repeatable),    cmocka_unit_test(test_runbook),
        cmocka_unit_test(test_files),
    };
    return test_run("config", tests);
}
