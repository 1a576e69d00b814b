#include "algorithms/sharded/copy/log.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/common/io/files.h"
#include "algorithms/sharded/copy/wire.h"
#include "src/core/mem.h"
#include "src/core/path_print.h"

#define PREFIX "log."

enum { HEAD_WORDS = 4 };

static size_t row_bytes_of(const struct index_env *env)
{
    return index_row_bytes(env->element, env->dim);
}

/* ---- records */

static bool has_ids(enum log_op op)
{
    return op == LOG_INSERT || op == LOG_REMOVE || op == LOG_RELABEL;
}

static bool has_buckets(enum log_op op)
{
    return op == LOG_INSERT || op == LOG_RELABEL;
}

static bool has_rows(enum log_op op)
{
    return op == LOG_INSERT || op == LOG_TRAIN;
}

void log_put(struct wire *w, const struct log_record *r, size_t row_bytes)
{
    wire_put(w, r->op);
    wire_put(w, r->sequence);
    wire_put(w, r->ends);
    wire_put(w, r->n);
    if (has_ids(r->op))
        wire_put_bytes(w, r->ids, r->n * sizeof *r->ids);
    if (has_buckets(r->op))
        wire_put_bytes(w, r->buckets, r->n * sizeof *r->buckets);
    if (has_rows(r->op))
        wire_put_bytes(w, r->rows, r->n * row_bytes);
}

bool log_take(struct wire_reader *from, struct log_record *r, size_t row_bytes)
{
    *r = (struct log_record){ .op = (enum log_op)wire_take(from) };
    r->sequence = wire_take(from);
    r->ends = wire_take(from) != 0;
    r->n = (size_t)wire_take(from);
    if (r->op < LOG_TRAIN || r->op > LOG_BASE)
        from->failed = true;
    if (has_ids(r->op))
        r->ids = wire_take_array(from, r->n, sizeof *r->ids);
    if (has_buckets(r->op))
        r->buckets = wire_take_array(from, r->n, sizeof *r->buckets);
    if (has_rows(r->op))
        r->rows = wire_take_array(from, r->n, row_bytes);
    return !from->failed;
}

/* ---- files */

void log_remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inner[PATH_MAX];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner)
            continue;
        if (unlink(inner) != 0)
            log_remove_folder(inner);
    }
    (void)closedir(folder);
    (void)rmdir(path);
}

/* Prepares a log of this number. */
static int begin(struct row_log *log, const struct index_env *env, const char *folder,
                 uint64_t number)
{
    char path[PATH_MAX];
    *log = (struct row_log){ .env = *env, .folder = folder, .number = number };
    if (path_print(path, env->error, "%s/" PREFIX "%" PRIu64, folder, number))
        return ERR_ARGUMENT;
    log->path = mem_strdup(env->mem, path);
    if (!log->path)
        return fail(env->error, ERR_NO_MEMORY, "sharded: out of memory for a log");
    log->env.dir = log->path;
    return OK;
}

void log_close(struct row_log *log)
{
    wal_close(log->wal);
    mem_free(log->env.mem, log->path);
    *log = (struct row_log){ 0 };
}

void log_discard(struct row_log *log)
{
    if (log->path)
        log_remove_folder(log->path);
    log_close(log);
}

int log_create(struct row_log *log, const struct index_env *env, const char *folder,
               uint64_t number)
{
    int rc = begin(log, env, folder, number);
    if (rc == OK) {
        log_remove_folder(log->path);
        if (mkdir(log->path, 0700) != 0)
            rc = fail_errno(env->error, ERR_IO, "sharded: %s cannot be made", log->path);
    }
    if (rc == OK)
        rc = wal_open(&log->wal, &log->env, WAL_WRITTEN, 0, NULL);
    if (rc != OK)
        log_discard(log);
    return rc;
}

int log_end_base(struct row_log *log, uint64_t sequence)
{
    const struct log_record base = { .op = LOG_BASE, .sequence = sequence, .ends = true };
    const int rc = log_write(log, &base);
    log->base = rc == OK ? sequence : log->base;
    return rc;
}

uint64_t log_bytes(const struct row_log *log)
{
    return log->wal ? wal_bytes(log->wal) : 0;
}

/* ---- writing and reading */

static int append(struct row_log *log, struct wal_batch *batch, const struct log_record *r)
{
    struct wire head = { .mem = log->env.mem };
    log_put(&head, r, row_bytes_of(&log->env));
    const struct wal_part part = { head.bytes, head.n };
    const int rc = head.failed ? fail(log->env.error, ERR_NO_MEMORY,
                                      "sharded: out of memory for a record of %zu rows", r->n)
                               : wal_append(log->wal, batch, (uint8_t)r->op, &part, 1);
    wire_free(&head);
    return rc;
}

struct log_record log_part(const struct log_record *r, size_t first, size_t row_bytes)
{
    struct log_record part = *r;

    part.n = r->n - first < LOG_ROWS ? r->n - first : LOG_ROWS;
    part.ends = r->ends && first + part.n == r->n;
    part.ids = r->ids ? r->ids + first : NULL;
    part.buckets = r->buckets ? r->buckets + first : NULL;
    part.rows = r->rows ? (const char *)r->rows + first * row_bytes : NULL;
    return part;
}

int log_write(struct row_log *log, const struct log_record *r)
{
    struct wal_batch batch = { 0 };
    size_t first = 0;
    int rc = OK;

    do {
        const struct log_record part = log_part(r, first, row_bytes_of(&log->env));
        rc = append(log, &batch, &part);
        first += part.n;
    } while (rc == OK && first < r->n);
    if (rc == OK)
        return wal_commit(log->wal, &batch);
    wal_abandon(log->wal, &batch);
    return rc;
}

struct reading {
    const struct row_log *log;
    int (*visit)(void *to, const struct log_record *);
    void *to;
    unsigned char *aligned; /* the record: its arrays are of words */
    size_t room;
};

static int read_one(void *of, const struct wal_record *from)
{
    struct reading *reading = of;
    const struct index_env *env = &reading->log->env;
    if (!mem_grow(env->mem, &reading->aligned, &reading->room, from->n + 1, 1))
        return fail(env->error, ERR_NO_MEMORY, "sharded: out of memory for a record of the log");
    memcpy(reading->aligned, from->payload, from->n);
    struct wire_reader r = { reading->aligned, from->n, false };
    struct log_record record;
    if (!log_take(&r, &record, row_bytes_of(env)))
        return fail(env->error, ERR_CORRUPT, "sharded: %s: record %llu is damaged",
                    reading->log->path, (unsigned long long)from->lsn);
    record.lsn = from->lsn;
    return reading->visit(reading->to, &record);
}

int log_read(const struct row_log *log, uint64_t after,
             int (*visit)(void *to, const struct log_record *), void *to)
{
    struct reading reading = { .log = log, .visit = visit, .to = to };
    uint64_t last, dropped;
    const int rc = wal_replay(&log->env, log->path, after, read_one, &reading, &last, &dropped);
    mem_free(log->env.mem, reading.aligned);
    return rc;
}

/* ---- opening */

struct base_search {
    bool found;
    uint64_t sequence;
    uint64_t last; /* record; 0: none */
};

static int find_base(void *to, const struct log_record *r)
{
    struct base_search *s = to;
    s->found |= r->op == LOG_BASE;
    s->sequence = r->op == LOG_BASE ? r->sequence : s->sequence;
    s->last = r->lsn;
    return OK;
}

/* A crash after a compaction leaves the log that it has replaced. */
static void remove_before(const char *folder, uint64_t number)
{
    char path[PATH_MAX];
    while (file_newest(folder, PREFIX, number, &number) && number != 0 &&
           snprintf(path, sizeof path, "%s/" PREFIX "%" PRIu64, folder, number) < PATH_MAX)
        log_remove_folder(path);
}

int log_open(struct row_log *log, const struct index_env *env, const char *folder)
{
    for (uint64_t number = UINT64_MAX;;) {
        struct base_search search = { 0 };
        if (!file_newest(folder, PREFIX, number, &number) || number == 0)
            return fail(env->error, ERR_NOT_FOUND, "sharded: %s has no complete log", folder);
        int rc = begin(log, env, folder, number);
        if (rc == OK)
            rc = log_read(log, 0, find_base, &search);
        if (rc == OK && search.found)
            rc = wal_open(&log->wal, &log->env, WAL_WRITTEN, search.last, NULL);
        log->base = search.sequence;
        if (rc == OK && search.found) {
            remove_before(folder, number);
            return OK;
        }
        log_close(log);
        if (rc != OK)
            return rc;
    }
}

/* ---- compaction */

int log_replace(struct row_log *log, const struct row_log *next, uint64_t sequence)
{
    struct row_log now = *next;
    const int rc = log_end_base(&now, sequence);
    if (rc == OK) {
        log_discard(log);
        *log = now;
    }
    return rc;
}
