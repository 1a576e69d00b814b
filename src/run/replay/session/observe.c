/* observe.c - observations of a method between operations: memory, statistics and invariants. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "src/run/measure/folder.h"
#include "src/run/replay/session/step.h"

enum { TABLE_ROWS = 16384 };

static void take_value(void *to, const char *name, double value)
{
    (void)json_object_set_new(((struct step_record *)to)->own_stats, name, json_number(value));
}

/* Stores one cell of a table. A table is an object of columns, each an array. A row without a value
   in a column is null there. */
static void take_cell(void *to, const char *table, size_t row, const char *column, double value)
{
    struct step_record *s = to;
    json_t *columns = json_object_get(s->own_stats, table);

    if (!s->tables || row >= TABLE_ROWS)
        return;
    if (!json_is_object(columns)) {
        columns = json_object();
        (void)json_object_set_new(s->own_stats, table, columns);
    }
    json_t *values = json_object_get(columns, column);
    if (!values) {
        values = json_array();
        (void)json_object_set_new(columns, column, values);
    }
    while (json_array_size(values) < row)
        (void)json_array_append_new(values, json_null());
    if (json_array_size(values) == row)
        (void)json_array_append_new(values, json_number(value));
    else
        (void)json_array_set_new(values, row, json_number(value));
}

/* A statistic or table of the method is method.NAME if the harness has set NAME for the step. */
static void add_own_stats(struct step_record *s)
{
    const char *name;
    json_t *value;
    char renamed[128];

    json_object_foreach(s->own_stats, name, value) {
        (void)snprintf(renamed, sizeof renamed, "method.%s", name);
        (void)json_object_set(s->stats, json_object_get(s->stats, name) ? renamed : name, value);
    }
    json_decref(s->own_stats);
}

static double grown(uint64_t now, uint64_t before)
{
    return now > before ? (double)(now - before) : 0;
}

/* Memory that is not private to this process: its shared pages, or the in-memory files behind them
   if those are larger, plus the memory of child processes. */
static double memory_elsewhere(const struct replay_session *r, const struct resident *now)
{
    const double shared = grown(now->shared, r->before.shared);
    struct memory_files files_now;
    memory_files_read(0, &files_now);
    const double open_files = grown(files_now.named, r->files_before.named);
    const double all_files = grown(memory_shared_files_bytes(), r->shared_files_before);
    const double files = grown(files_now.nameless, r->files_before.nameless) +
                         (open_files > all_files ? open_files : all_files);
    /* Orphaned processes become children of the guard. */
    const double others = (double)memory_others(r->family, getpid());

    return (shared > files ? shared : files) + others;
}

static uint64_t resident_bytes(const struct memory_use *use)
{
#define MEMORY_PART(name, resident) +((resident) ? use->name : 0)
    return
#include "src/base/memory_parts.def"
        ;
#undef MEMORY_PART
}

static json_t *parts_json(const struct memory_use *use)
{
    json_t *parts = json_object();
#define MEMORY_PART(name, resident) \
    (void)json_object_set_new(parts, #name, json_integer((json_int_t)use->name));
#include "src/base/memory_parts.def"
#undef MEMORY_PART
    return parts;
}

/* A part that no machine has is a mistake, such as a difference below 0; the sum of parts would overflow. */
static int admit_parts(const struct replay_session *r, const struct memory_use *use)
{
    static const uint64_t most = (uint64_t)1 << 50;
    const char *method = r->ops->name;
#define MEMORY_PART(part, resident)                                                \
    if (use->part > most)                                                          \
        return fail(r->err, ERR_INVARIANT,                                         \
                    "method \"%s\": memory() reports %" PRIu64 " bytes of `" #part \
                    "`; expected at most 2^50",                                    \
                    method, use->part);
#include "src/base/memory_parts.def"
#undef MEMORY_PART
    return OK;
}

/* Records four measures of memory (the method's own count, anonymous growth, mapped pages, the
   peak) and the size of its files. */
static int observe_memory(struct step_record *s, struct replay_session *r)
{
    struct memory_use use = { 0 };
    struct resident now;
    const bool seen = memory_resident_read(0, &now);

    session_name_call(r, "memory");
    /* Only the method's call counts as its work. The harness reads /proc. */
    const struct time_mark from = time_mark_now();
    int rc = r->ops->memory ? r->ops->memory(r->checked.index, &use) : OK;
    step_take_untimed(s, &from);
    rc = rc == OK ? admit_parts(r, &use) : rc;
    const bool reported = r->ops->memory && rc == OK;
    const double index_bytes = reported ? (double)resident_bytes(&use) : NAN;
    /* The peak is 0 if an external library allocates for itself. */
    const bool accounted = mem_peak(&r->account) > 0;
    /* The harness's tables of live ids and snapshots have also grown. They do not count as
       part of the index. */
    const uint64_t ours = index_checked_bytes(&r->checked) + live_state_past_bytes(&r->now);

    s->memory = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "index_bytes", json_number(index_bytes),
        "disk_bytes", json_number((double)folder_bytes(r->state_dir)), "rss_bytes",
        json_number(seen ? grown(now.anonymous, r->before.anonymous + ours) +
                               memory_elsewhere(r, &now)
                         : NAN),
        "mapped_bytes", json_number(seen ? grown(now.mapped, r->before.mapped) : NAN), "peak_bytes",
        json_number(seen ? grown(now.peak, r->before.anonymous + r->before.mapped + ours) : NAN),
        "accounted_bytes", json_number(accounted ? (double)mem_live(&r->account) : NAN),
        "accounted_peak_bytes", json_number(accounted ? (double)mem_peak(&r->account) : NAN),
        "rss_resolution_bytes", (json_int_t)r->resolution);
    (void)json_object_set_new(s->memory, "parts", reported ? parts_json(&use) : json_null());
    return rc;
}

int step_observe(struct step_record *s, struct replay_session *r, bool tables)
{
    const double cheap_s = .05;
    struct stat_sink sink = { take_value, take_cell, s };

    if (!r->checked.index)
        return OK;
    r->resolution = tables || r->resolution == 0 ? memory_resolution() : r->resolution;
    s->own_stats = json_object();
    s->tables = tables;
    int rc = observe_memory(s, r);
    session_name_call(r, "stats");
    const struct time_mark from = time_mark_now();
    if (rc == OK && r->ops->stats)
        rc = r->ops->stats(r->checked.index, &sink);
    if (rc == OK && (tables || r->check_seconds < cheap_s)) {
        session_name_call(r, "check");
        const uint64_t start = clock_ns();

        rc = index_check(&r->checked, tables ? &sink : NULL);
        r->check_seconds = clock_seconds(clock_ns() - start);
    }
    step_take_untimed(s, &from);
    add_own_stats(s);
    return rc;
}
