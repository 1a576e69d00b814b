/* read.c - reads what each build of a result answers and costs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/ranking/ranking.h"

/* What the steps cost, and what the index holds after the last of them. The first insertion builds
   the index; later ones change it. */
static void read_costs(struct ranking_build *s)
{
    double seconds[OP_KINDS + 1] = { 0 }, rows[OP_KINDS + 1] = { 0 };
    bool built = false;
    for (size_t i = 0; i < s->cell->n; i++) {
        const json_t *step = s->cell->steps[i].json, *memory = json_object_get(step, "memory");
        const enum op_kind op = s->cell->steps[i].op;
        const enum op_kind as = op == OP_INSERT && !built ? OP_TRAIN : op;
        if (!isnan(field_number(step, "seconds"))) {
            seconds[as] += field_number(step, "seconds");
            rows[as] += (double)field_integer(step, "count", 0);
        }
        built |= op == OP_INSERT;
        if (json_is_object(memory)) {
            /* By the method's own count, or as measured: what is larger. */
            s->memory_bytes =
                fmax(field_number(memory, "index_bytes"), field_number(memory, "rss_bytes"));
            s->disk_bytes = field_number(memory, "disk_bytes");
        }
    }
    s->build_s = seconds[OP_TRAIN];
    s->insert_s = rows[OP_INSERT] > 0 ? seconds[OP_INSERT] / rows[OP_INSERT] : NAN;
    s->delete_s = rows[OP_DELETE] > 0 ? seconds[OP_DELETE] / rows[OP_DELETE] : NAN;
    s->maintain_s = seconds[OP_MAINTAIN];
}

static const json_t *last_search(const struct result_cell *cell, const char *tag)
{
    size_t i = cell->n;
    while (i > 0 &&
           (cell->steps[i - 1].op != OP_SEARCH || strcmp(cell->steps[i - 1].tag, tag) != 0))
        i--;
    return i > 0 ? cell->steps[i - 1].json : NULL;
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
    s->below_half = field_number(json_object_get(step, "recall_below"), "0.5");
    s->point = field_text(calibrated, "point", s->cell->point);
    s->distances = field_number(step, "distances");
    s->knobs = json_object_get(json_is_object(calibrated) ? calibrated : s->cell->json, "knobs");
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

static struct ranking_build read_cell(const struct result_cell *cell, const char *tag,
                                      const struct ranking_wish *wish)
{
    struct ranking_build s = { .cell = cell,
                               .label = cell->label,
                               .family = family_length(cell->label),
                               .qps = NAN,
                               .p99_s = NAN,
                               .recall = NAN,
                               .below_half = NAN,
                               .distances = NAN,
                               .memory_bytes = NAN,
                               .disk_bytes = NAN,
                               .cell_s = field_number(cell->json, "cell_seconds") };
    const json_t *step = last_search(cell, tag);
    read_costs(&s);
    if (step)
        read_search(&s, step, wish);
    if (!cell->ok)
        s.failed = cell->status;
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

static int by_build(const void *a_of, const void *b_of)
{
    const struct ranking_build *a = a_of, *b = b_of;
    const int order = strcmp(a->cell->name, b->cell->name);
    return order ? order : by_rank(a, b);
}

/* Keeps one repeat of each build: that with the median rate, of an even number the slower of the two. */
static void keep_medians(struct ranking *r)
{
    size_t kept = 0;
    qsort(r->of, r->n, sizeof *r->of, by_build);
    for (size_t i = 0, end; i < r->n; i = end) {
        for (end = i + 1; end < r->n && !strcmp(r->of[end].cell->name, r->of[i].cell->name); end++)
            ;
        r->of[kept++] = r->of[i + (end - i) / 2];
    }
    r->n = kept;
}

int ranking_read(struct ranking *r, const struct result *result, const char *tag,
                 const struct ranking_wish *wish, struct error *err)
{
    bool searched = false;
    *r = (struct ranking){ .of = calloc(result->n + 1, sizeof *r->of) };
    if (!r->of)
        return fail(err, ERR_NO_MEMORY, "out of memory for %zu cells", result->n);
    for (size_t i = 0; i < result->n; i++) {
        r->of[r->n] = read_cell(&result->cells[i], tag, wish);
        searched |= r->of[r->n++].qps > 0;
    }
    keep_medians(r);
    for (size_t i = 0; i < r->n; i++)
        r->ranked += !r->of[i].failed;
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
