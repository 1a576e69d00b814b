/* runbook.c - w:runbook: records the operations of a runbook of big-ann-benchmarks or CANDOR-Bench.
 *
 * A runbook numbers the rows of its own data set. If the view has fewer rows than the runbook
 * needs, number p stands for row p * n / needed, rounded down, so adjacent ranges stay adjacent and
 * nested ranges nested. The same holds for the queries of a search with a range, and for batches.
 *
 * batch_insert inserts as w:insert { batch, rate } does. CANDOR-Bench searches all queries whenever a
 * hundredth of its rows has come; here, the arrivals wait meanwhile, since searches are measured in
 * passes of their own. waitPending, startHPC and endHPC are nothing here: rows are found when an insertion
 * has returned, and methods have their threads from the beginning.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "src/config/data/data.h"
#include "src/config/workload/internal.h"
#include "src/data/runbook.h"

#define RUNBOOK_NAME "driftline.runbook"

struct runbook_player {
    struct runbook *book;
    struct view *rows, *queries; /* queries may be NULL */
    size_t k, searches;          /* searches: in each batch insertion */
    double rate; /* of arrivals, in place of the runbook's; below 0: the runbook's */
    struct op_options note;
};

static int runbook_gc(lua_State *L)
{
    runbook_close(lua_touserdata(L, 1));
    return 0;
}

/* Pushes an empty runbook, which Lua closes. */
static struct runbook *push_runbook(lua_State *L)
{
    struct runbook *book = lua_newuserdatauv(L, sizeof *book, 0);
    memset(book, 0, sizeof *book);
    if (luaL_newmetatable(L, RUNBOOK_NAME)) {
        lua_pushcfunction(L, runbook_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return book;
}

static size_t row_of(const struct view *v, uint64_t needed, uint64_t number)
{
    if (v->n >= needed)
        return (size_t)number;
    return (size_t)((unsigned __int128)number * v->n / needed);
}

/* The rows of numbers start .. end - 1; NULL with err set. */
static struct view *slice(struct view *of, uint64_t needed, uint64_t start, uint64_t end,
                          struct error *err)
{
    const size_t first = row_of(of, needed, start), last = row_of(of, needed, end);
    if (first == last) {
        fail(err, ERR_CONFIG,
             "%llu to %llu map to no row of the view, which has %zu; the runbook has %llu",
             (unsigned long long)start, (unsigned long long)end, of->n, (unsigned long long)needed);
        return NULL;
    }
    struct view *v = view_slice(of, first, last - first);
    if (!v)
        fail(err, ERR_NO_MEMORY, "out of memory");
    return v;
}

/* old->n rows from number `start` on. Scaling can make two equal ranges differ by one row, so the
   end of the range is not used. */
static struct view *replacement(const struct runbook_player *r, uint64_t start,
                                const struct view *old, struct error *err)
{
    size_t first = row_of(r->rows, r->book->rows_needed, start);
    if (first + old->n > r->rows->n)
        first = r->rows->n - old->n;
    struct view *v = view_slice(r->rows, first, old->n);
    if (!v)
        fail(err, ERR_NO_MEMORY, "out of memory");
    return v;
}

/* Searches all queries, or those of the step's range. */
static int play_search(struct recorder *recorder, const struct runbook_player *r,
                       const struct runbook_step *step, struct op_options note, struct error *err)
{
    note.k = r->k;
    note.rows = r->queries;
    if (!step->end)
        return record_operation(recorder, OP_SEARCH, &note, err);
    note.rows = slice(r->queries, r->book->queries_needed, step->start, step->end, err);
    const int rc = note.rows ? record_operation(recorder, OP_SEARCH, &note, err) : err->code;
    view_drop(note.rows);
    return rc;
}

static struct op_options note_of(const struct runbook_player *r, const char *tag)
{
    struct op_options note = r->note;
    note.tag = note.tag ? note.tag : tag;
    return note;
}

/* Inserts or deletes the rows of these numbers, if there are any. */
static int play_range(struct recorder *recorder, const struct runbook_player *r,
                      struct op_options note, enum op_kind kind, uint64_t first, uint64_t last,
                      struct error *err)
{
    const uint64_t needed = r->book->rows_needed;
    if (row_of(r->rows, needed, first) == row_of(r->rows, needed, last))
        return OK;
    note.which.rows = note.rows = slice(r->rows, needed, first, last, err);
    const int rc = note.rows ? record_operation(recorder, kind, &note, err) : err->code;
    view_drop(note.rows);
    return rc;
}

static bool searches_between(const struct runbook_player *r, const struct runbook_step *step)
{
    return step->batch > 0 && !step->quiet && r->searches > 0;
}

static int play_batches(lua_State *L, const struct runbook_player *r,
                        const struct runbook_step *step, struct error *err)
{
    struct recorder *recorder = script_of(L)->recorder;
    struct op_options insert =
        note_of(r, step->deleted > 0 ? "batch_insert_delete" : "batch_insert");
    const struct op_options deletion = note_of(r, "delete");
    struct op_options search = note_of(r, "continuous");
    const uint64_t needed = r->book->rows_needed;
    uint64_t from = step->start, since = 0; /* since the last search */
    int rc = OK;
    search.k = r->k;
    search.rows = r->queries;
    insert.rate = r->rate < 0 ? step->rate : r->rate;
    if (!insert.batch)
        insert.batch =
            r->rows->n >= needed
                ? (size_t)step->batch
                : (size_t)(((unsigned __int128)step->batch * r->rows->n + needed - 1) / needed);
    for (uint64_t at = step->start, last; !rc && at < step->end; at = last) {
        last = step->end - at < step->batch ? step->end : at + step->batch;
        since += step->batch;
        const bool asks = searches_between(r, step) &&
                          (double)since * (double)r->searches >= (double)(step->end - step->start);
        script_charge(L, 0);
        if (asks || step->deleted > 0 || last == step->end) {
            rc = play_range(recorder, r, insert, OP_INSERT, from, last, err);
            from = last;
        }
        if (!rc && step->deleted > 0)
            rc = play_range(recorder, r, deletion, OP_DELETE, runbook_first_deleted(step, at, last),
                            last, err);
        if (rc || !asks)
            continue;
        rc = record_operation(recorder, OP_SEARCH, &search, err);
        since = 0;
    }
    return rc;
}

static int play_step(lua_State *L, const struct runbook_player *r, const struct runbook_step *step,
                     struct error *err)
{
    static const char *const tags[] = { "insert", "delete", "search", "replace", "initial" };
    struct recorder *recorder = script_of(L)->recorder;
    if (!step->end && step->operation != RUNBOOK_SEARCH)
        return OK;
    if (step->batch)
        return play_batches(L, r, step, err);
    struct op_options note = note_of(r, tags[step->operation]);
    if (step->operation == RUNBOOK_SEARCH)
        return play_search(recorder, r, step, note, err);
    struct view *rows = slice(r->rows, r->book->rows_needed, step->start, step->end, err),
                *with = NULL;
    int rc = rows ? OK : err->code;
    note.which.rows = note.rows = rows;
    if (!rc && step->operation == RUNBOOK_INITIAL && recorder_list(recorder)->n == 0)
        rc = record_operation(recorder, OP_TRAIN, &note, err);
    if (!rc && (step->operation == RUNBOOK_INSERT || step->operation == RUNBOOK_INITIAL))
        rc = record_operation(recorder, OP_INSERT, &note, err);
    else if (!rc && step->operation == RUNBOOK_DELETE)
        rc = record_operation(recorder, OP_DELETE, &note, err);
    else if (!rc) {
        note.rows = with = replacement(r, step->ids_start, rows, err);
        rc = with ? record_operation(recorder, OP_UPDATE, &note, err) : err->code;
    }
    view_drop(rows);
    view_drop(with);
    return rc;
}

static void warn(const struct script *s, const struct runbook *book)
{
    char line[sizeof book->warning + 16];
    (void)snprintf(line, sizeof line, "warning: %s", book->warning);
    if (book->warning[0] && s->options->say)
        (void)s->options->say(s->options->say_to, line);
}

static void play(const struct fields *f, const char *path, const struct runbook_player *r)
{
    warn(script_of(f->L), r->book);
    for (size_t i = 0; i < r->book->n; i++) {
        const struct runbook_step *step = &r->book->steps[i];
        if ((step->operation == RUNBOOK_SEARCH || searches_between(r, step)) && !r->queries)
            fields_fail(f, NULL,
                        "%s searches, but the data has no queries of its own: set queries = view",
                        path);
        script_charge(f->L, 0);
        struct error *err = script_error(f->L);
        if (play_step(f->L, r, step, err)) {
            fail_within(err, "%s:%zu: step %llu", path, step->line,
                        (unsigned long long)step->number);
            lua_step_fail(f);
        }
    }
}

/* Pushes the path of the runbook: "book.yaml" beside the config, or "SET/PART" of the catalog. */
static const char *find_runbook(const struct fields *f, const char *name)
{
    lua_State *L = f->L;
    struct script *s = script_of(L);
    const char *slash = strchr(name, '/');
    if (!slash || strstr(name, ".yaml") || strstr(name, ".yml"))
        return lua_data_path(L, name);
    const char *set = lua_pushlstring(L, name, (size_t)(slash - name));
    struct catalog_entry *entry = catalog_find(lua_catalog(L, f->what), set);
    if (!entry) {
        size_t n;
        const char *const *names = catalog_names(s->catalog, &n);
        script_fail_at(L, f->call, ERR_NOT_FOUND,
                       "%s: \"%.100s\" is neither a .yaml file nor SET/RUNBOOK of the catalog%s",
                       f->what, name, script_hint(L, set, names, n));
    }
    char *path = lua_newuserdatauv(L, PATH_MAX, 0);
    const uint64_t stopped_ns = script_stop_clock();
    const int rc = catalog_file(entry, slash + 1, s->options, path, script_error(L));
    script_start_clock(s, stopped_ns);
    if (rc || lua_catalog_note(s, entry, slash + 1, script_error(L)))
        lua_step_fail(f);
    return lua_pushstring(L, path);
}

/* Pushes a view of the only open data set, for w:runbook "file.yaml". */
static void push_only_set(lua_State *L)
{
    const struct script *s = script_of(L);
    if (s->n_sets != 1)
        script_fail(
            L, ERR_CONFIG,
            "w:runbook \"file\" needs exactly one data set opened before; with %zu, say which: "
            "w:runbook { \"file\", view }",
            s->n_sets);
    lua_view_push(L, view_range(s->sets->base, s->sets->metric, 0, s->sets->base->n), s->sets);
}

int lua_w_runbook(lua_State *L)
{
    (void)lua_recorder(L);
    if (lua_type(L, 2) == LUA_TSTRING) {
        lua_settop(L, 2);
        lua_createtable(L, 2, 0);
        lua_insert(L, 2);
        lua_rawseti(L, 2, 1);
        push_only_set(L);
        lua_rawseti(L, 2, 2);
    }
    const struct fields f = fields_open(L, 2, "w:runbook");
    fields_only(&f, CALL_W_RUNBOOK, 2);
    if (lua_rawgeti(L, 2, 1) != LUA_TSTRING)
        fields_fail(&f, NULL, "a path comes first, as in w:runbook { \"file.yaml\", view }, not %s",
                    script_shown(L, -1));
    const char *path = find_runbook(&f, lua_tostring(L, -1));
    lua_rawgeti(L, 2, 2);
    struct lua_view *v = lua_view_at(L, -1);
    if (!v)
        fields_fail(&f, NULL,
                    "a view comes second, as in w:runbook { \"file.yaml\", view }, not %s",
                    script_shown(L, -1));
    struct runbook_player r = { .rows = v->view, .note = lua_step_options(&f, CALL_W_RUNBOOK) };
    r.k = r.note.k;
    r.note.k = 0;
    r.searches = (size_t)fields_count(&f, "searches", 100, 0, 1000000);
    r.rate = fields_real(&f, "event_rate", -1, 0, 1e9);
    if (fields_push(&f, "queries") != LUA_TNIL) {
        const struct lua_view *q = lua_view_at(L, -1);
        if (!q)
            fields_fail(&f, "queries", "\"queries\" must be a view, not %s", script_shown(L, -1));
        r.queries = q->view;
    } else if (v->set && !v->set->synthetic && (v->set->entry || v->set->paths[0])) {
        lua_view_push(L, lua_data_queries(L, v->set, 0, -1), v->set);
        r.queries = lua_view_at(L, -1)->view;
    }
    r.book = push_runbook(L);
    if (runbook_open(path, fields_text(&f, "dataset", NULL), r.book, script_error(L)) ||
        script_note_file(script_of(L), path, script_error(L)))
        lua_step_fail(&f);
    play(&f, path, &r);
    return 0;
}
