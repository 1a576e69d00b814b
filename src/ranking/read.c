/* read.c - reads what each build of a result answers and costs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/ranking/ranking.h"

/* Seconds and rows of one operation, over the steps of a cell. */
struct spent {
    double seconds, rows;
};

static double each(struct spent s)
{
    return s.rows > 0 ? s.seconds / s.rows : NAN;
}

static void add_step(struct spent *to, const json_t *step)
{
    const double seconds = field_number(step, "seconds");
    if (!isnan(seconds)) {
        to->seconds += seconds;
        to->rows += (double)field_integer(step, "count", 0);
    }
}

/* The first insertion builds the index; later ones change it. */
static void read_updates(struct ranking_build *s)
{
    struct spent build = { 0 }, insert = { 0 }, deleted = { 0 }, maintain = { 0 };
    bool built = false;
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(s->cell, "steps"), i, step) {
        const char *op = field_text(step, "op", "");
        if (!strcmp(op, "train"))
            add_step(&build, step);
        else if (!strcmp(op, "insert"))
            add_step(built ? &insert : &build, step);
        else if (!strcmp(op, "delete"))
            add_step(&deleted, step);
        else if (!strcmp(op, "maintain"))
            add_step(&maintain, step);
        built |= !strcmp(op, "insert");
    }
    s->build_s = build.seconds;
    s->insert_s = each(insert);
    s->delete_s = each(deleted);
    s->maintain_s = maintain.seconds;
}

static void read_memory(struct ranking_build *s)
{
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(s->cell, "steps"), i, step) {
        const json_t *memory = json_object_get(step, "memory");
        if (json_is_object(memory)) {
            /* By the method's own count, or as measured: what is larger. */
            s->memory_bytes =
                fmax(field_number(memory, "index_bytes"), field_number(memory, "rss_bytes"));
            s->disk_bytes = field_number(memory, "disk_bytes");
        }
    }
}

static const json_t *last_search(const json_t *cell, const char *tag)
{
    const json_t *found = NULL;
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(cell, "steps"), i, step) {
        if (!strcmp(field_text(step, "op", ""), "search") &&
            !strcmp(field_text(step, "tag", ""), tag))
            found = step;
    }
    return found;
}

static void read_search(struct ranking_build *s, const json_t *step,
                        const struct ranking_wish *wish)
{
    const json_t *calibrated = json_object_get(step, "calibrated");
    const double p99_ns = field_number(json_object_get(step, "latency_ns"), "p99");
    s->qps = field_number(step, wish->batches ? "per_second" : "single_per_second");
    s->p99_s = p99_ns / 1e9;
    s->recall =
        field_number(json_object_get(step, wish->batches ? "throughput_recall" : "recall"), "mean");
    s->point = field_text(calibrated, "point", field_text(s->cell, "point", NULL));
    s->distances = field_number(step, "distances");
    s->knobs = json_object_get(json_is_object(calibrated) ? calibrated : s->cell, "knobs");
    if (strcmp(field_text(step, "status", ""), "ok") != 0)
        s->failed = field_text(step, "status", "no answers");
    else if (json_is_object(calibrated) && !json_is_true(json_object_get(calibrated, "reached")))
        s->failed = "recall not reached";
    else if (!(s->recall >= wish->recall))
        s->failed = "recall not reached on the queries that measured it";
    else if (isnan(s->qps))
        s->failed = "no rate measured";
}

static size_t family_length(const char *label)
{
    const char *space = strrchr(label, ' ');
    const bool numbered = space && space[1] && !space[1 + strspn(space + 1, "0123456789")];
    return numbered ? (size_t)(space - label) : strlen(label);
}

static struct ranking_build read_cell(const json_t *cell, const char *tag,
                                      const struct ranking_wish *wish)
{
    struct ranking_build s = { .cell = cell,
                               .label = field_text(cell, "label", ""),
                               .method = field_text(cell, "method", ""),
                               .qps = NAN,
                               .p99_s = NAN,
                               .recall = NAN,
                               .distances = NAN,
                               .memory_bytes = NAN,
                               .disk_bytes = NAN,
                               .cell_s = field_number(cell, "cell_seconds") };
    const char *status = field_text(cell, "status", "no status");
    const json_t *step = last_search(cell, tag);
    s.family = family_length(s.label);
    read_updates(&s);
    read_memory(&s);
    if (step)
        read_search(&s, step, wish);
    if (strcmp(status, "ok") != 0)
        s.failed = status;
    else if (!step)
        s.failed = "not searched";
    else if (!s.failed && wish->memory_bytes > 0 && s.memory_bytes > wish->memory_bytes)
        s.failed = "too much memory";
    return s;
}

static int by_rank(const void *a_of, const void *b_of)
{
    const struct ranking_build *a = a_of, *b = b_of;
    if (!a->failed != !b->failed)
        return a->failed ? 1 : -1;
    if (!a->failed && a->qps != b->qps)
        return a->qps > b->qps ? -1 : 1;
    return strcmp(a->label, b->label);
}

int ranking_read(struct ranking *r, const json_t *result, const char *tag,
                 const struct ranking_wish *wish, struct error *err)
{
    const json_t *cells = json_object_get(result, "cells");
    bool searched = false;
    size_t i;
    json_t *cell;
    *r = (struct ranking){ .of = calloc(json_array_size(cells) + 1, sizeof *r->of) };
    if (!r->of)
        return fail(err, ERR_NO_MEMORY, "out of memory for %zu cells", json_array_size(cells));
    json_array_foreach(cells, i, cell) {
        if (field_integer(cell, "repeat", 0) != 0)
            continue;
        r->of[r->n] = read_cell(cell, tag, wish);
        r->ranked += !r->of[r->n].failed;
        searched |= r->of[r->n++].qps > 0;
    }
    qsort(r->of, r->n, sizeof *r->of, by_rank);
    if (searched)
        return OK;
    ranking_free(r);
    return fail(err, ERR_NOT_FOUND, "no method answered in a step \"%s\"", tag);
}

void ranking_free(struct ranking *r)
{
    free(r->of);
    *r = (struct ranking){ 0 };
}
