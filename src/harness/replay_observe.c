/* replay_observe.c - what is seen of a method between operations: its memory, its statistics, its invariants. */
#include <stdio.h>
#include <unistd.h>

#include "replay_state.h"

enum { TABLE_ROWS = 16384 };

/* What the harness said of the step stays as it is: a method's number of the same name is called method.NAME. */
static void take_value(void *to, const char *name, double value)
{
    const struct step *s = to;
    char own[128];

    if (json_object_get(s->harness_stats, name)) {
        (void)snprintf(own, sizeof own, "method.%s", name);
        name = own;
    }
    step_stat(to, name, value);
}

/* A table is an object of columns, each an array; rows a column was not given are null. */
static void take_cell(void *to, const char *table, size_t row, const char *column, double value)
{
    struct step *s = to;

    if (row >= TABLE_ROWS)
        return;
    if (!s->stats)
        s->stats = json_object();
    json_t *columns = json_object_get(s->stats, table);
    if (!json_is_object(columns)) {
        columns = json_object();
        (void)json_object_set_new(s->stats, table, columns);
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

static void leave_cell(void *to, const char *table, size_t row, const char *column, double value)
{
    (void)to;
    (void)table;
    (void)row;
    (void)column;
    (void)value;
}

static double grown(uint64_t now, uint64_t before)
{
    return now > before ? (double)(now - before) : 0;
}

/* Memory that is no process's own: shared pages, or the files in memory behind them where those are more; and what
   child processes have. */
static double memory_elsewhere(const struct replay *r, const struct resident *now)
{
    const double shared = grown(now->shared, r->before.shared);
    struct memory_files files_now;
    memory_files_read(0, &files_now);
    const double open_files = grown(files_now.named, r->files_before.named);
    const double all_files = grown(shared_files_bytes(), r->shared_files_before);
    const double files = grown(files_now.nameless, r->files_before.nameless) +
                         (open_files > all_files ? open_files : all_files);
    /* Orphans are the guard's children. */
    const double others = (double)resident_others(r->family, getpid());

    return (shared > files ? shared : files) + others;
}

/* The four views: the method's own count, anonymous growth, mapped pages, the peak; and its
   files. */
static int observe_memory(struct step *s, struct replay *r)
{
    struct memory_use use = { 0 };
    struct resident now;
    const bool seen = resident_read(0, &now);
    struct moment from;

    /* Only the method's own call is its work: what is read of /proc is the harness's. */
    moment_take(&from);
    int rc = r->ops->memory ? r->ops->memory(r->checked.index, &use) : OK;
    step_take_untimed(s, &from);
    const bool told = r->ops->memory && rc == OK;
    const double index_bytes =
        told ? (double)(use.vectors + use.codes + use.graph + use.ids + use.other) : NAN;
    const bool accounted = mem_peak(&r->account) > 0; /* a peer allocates for itself */
    /* The harness's tables of live ids and snapshots have grown beside the index, and are none of it. */
    const uint64_t ours = index_checked_bytes(&r->checked) + holding_past_bytes(&r->now);

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
    (void)json_object_set_new(
        s->memory, "parts",
        told ? json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "vectors", (json_int_t)use.vectors,
                         "codes", (json_int_t)use.codes, "graph", (json_int_t)use.graph, "ids",
                         (json_int_t)use.ids, "other", (json_int_t)use.other, "disk",
                         (json_int_t)use.disk)
             : json_null());
    return rc;
}

int step_observe(struct step *s, struct replay *r, bool tables)
{
    const double cheap_s = .05;
    struct stat_sink sink = { take_value, tables ? take_cell : leave_cell, s };
    struct moment from;

    if (!r->open)
        return OK;
    r->resolution = tables || r->resolution == 0 ? resident_resolution() : r->resolution;
    json_t *harness_stats = s->harness_stats = s->stats ? json_copy(s->stats) : json_object();
    int rc = observe_memory(s, r);
    moment_take(&from);
    if (rc == OK && r->ops->stats)
        rc = r->ops->stats(r->checked.index, &sink);
    if (rc == OK && (tables || r->check_seconds < cheap_s)) {
        const uint64_t start = clock_ns();

        rc = index_check(&r->checked, tables ? &sink : NULL);
        r->check_seconds = clock_seconds(clock_ns() - start);
        if (rc != OK)
            fail_within(r->err, "check() after operation %zu", r->at + 1);
    }
    step_take_untimed(s, &from);
    json_decref(harness_stats);
    s->harness_stats = NULL;
    return rc;
}
