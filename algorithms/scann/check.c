/* check.c - the invariants of scann.h, and the lists as inspect() shows them. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "algorithms/common/structure/structure.h"
#include "algorithms/scann/scann.h"
#include "src/core/mem.h"

/* Codes are the row's, made again. blocks: two, of which only place `at` is compared. */
static bool code_is_of(const struct scann *s, struct scann_place place, uint32_t slot,
                       uint8_t *blocks)
{
    const struct scann_lists *lists = &s->lists;
    const size_t bytes = lists->quantizer->block_bytes;
    const unsigned at = place.at % QUANTIZER_BLOCK;
    memset(blocks, 0, 2 * bytes);
    (void)quantizer_put(lists->quantizer, scann_row(s, slot),
                        lists->centroids + place.list * s->base.env.dim, blocks, at);
    quantizer_copy(lists->quantizer, scann_block(lists, &lists->list[place.list], place.at), at,
                   blocks + bytes, at);
    return memcmp(blocks, blocks + bytes, bytes) == 0;
}

static int check_place(const struct scann *s, struct scann_place place, uint32_t slot,
                       uint8_t *blocks)
{
    const struct scann_lists *lists = &s->lists;
    struct error *error = s->base.env.error;
    if (place.list >= lists->n || place.at >= lists->list[place.list].n ||
        lists->list[place.list].slots[place.at] != slot)
        return fail(error, ERR_INVARIANT,
                    "scann: slot %" PRIu32 " is not at position %" PRIu32 " of list %" PRIu32, slot,
                    place.at, place.list);
    if (!code_is_of(s, place, slot, blocks))
        return fail(error, ERR_INVARIANT,
                    "scann: the code at position %" PRIu32 " of list %" PRIu32
                    " is not that of slot %" PRIu32,
                    place.at, place.list, slot);
    return OK;
}

/* The sum is rounded at each change. */
static int check_error(const struct scann *s, uint32_t list)
{
    const struct scann_list *l = &s->lists.list[list];
    const double sum = scann_errors(&s->base.env, &s->lists, s->store.floats, list);
    if (isfinite(sum) && fabs(l->error - sum) > 1e-6 * (1 + sum))
        return fail(s->base.env.error, ERR_INVARIANT,
                    "scann: errors of list %" PRIu32 " sum to %g, %g counted", list, sum, l->error);
    return OK;
}

/* Every row's places, and no other copies. */
static int check_lists(const struct scann *s)
{
    const struct scann_lists *lists = &s->lists;
    const struct index_env *env = &s->base.env;
    uint8_t *blocks = mem_alloc(env->mem, 2 * lists->quantizer->block_bytes);
    size_t copies = 0, stored = 0, empty = 0;
    int rc = OK;
    if (!blocks)
        return fail(env->error, ERR_NO_MEMORY, "scann: out of memory, cannot check");
    for (uint32_t i = 0; !rc && i < s->store.n; i++) {
        const struct scann_place *places = lists->places + 2 * (size_t)i;
        const bool two = places[1].list != NO_LIST;
        rc = check_place(s, places[0], i, blocks);
        if (!rc && two)
            rc = check_place(s, places[1], i, blocks);
        if (!rc && places[0].list == places[1].list)
            rc = fail(env->error, ERR_INVARIANT, "scann: slot %" PRIu32 " is in one list twice", i);
        if (!rc && two != (scann_spills(s) && lists->n > 1))
            rc = fail(env->error, ERR_INVARIANT, "scann: slot %" PRIu32 " has %d copies", i,
                      1 + two);
        copies += 1 + (size_t)two;
    }
    mem_free(env->mem, blocks);
    for (size_t i = 0; !rc && i < lists->n; i++) {
        rc = check_error(s, (uint32_t)i);
        stored += lists->list[i].n;
        empty += lists->list[i].n == 0;
    }
    if (!rc && lists->empty != empty)
        rc = fail(env->error, ERR_INVARIANT, "scann: %zu empty lists, %zu counted", empty,
                  lists->empty);
    if (!rc && (stored != copies || lists->copies != copies))
        rc = fail(env->error, ERR_INVARIANT, "scann: %zu copies of rows, %zu in lists, %zu counted",
                  copies, stored, lists->copies);
    return rc;
}

int scann_check(const struct index *index, struct stat_sink *sink)
{
    const struct scann *s = (const struct scann *)index;
    (void)sink;
    const int rc = dense_rows_check(&s->store, "scann", index->env.error);
    return rc == OK && s->lists.n > 0 ? check_lists(s) : rc;
}

static void show_ids(const struct scann *s, const uint32_t *slots, size_t n,
                     const struct structure_sink *sink)
{
    struct structure_ids ids = { .sink = sink };
    for (size_t i = 0; i < n; i++)
        structure_ids_add(&ids, s->store.ids[slots ? slots[i] : i]);
    structure_ids_end(&ids);
}

static void show_list(const struct scann *s, size_t number, const struct structure_sink *sink)
{
    const struct scann_list *l = &s->lists.list[number];
    if (!sink->enter(sink->to, "list", number))
        return;
    sink->number(sink->to, "live", (double)l->n);
    sink->vector(sink->to, "centroid", s->lists.centroids + number * s->base.env.dim,
                 s->base.env.dim);
    show_ids(s, l->slots, l->n, sink);
    sink->leave(sink->to);
}

int scann_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct scann *s = (const struct scann *)index;
    if (!sink->enter(sink->to, "scann", 0))
        return OK;
    sink->number(sink->to, "rows", (double)s->store.n);
    sink->number(sink->to, "lists", (double)s->lists.n);
    sink->number(sink->to, "stored_copies", (double)s->lists.copies);
    if (s->lists.n == 0) { /* not trained: all rows are compared */
        sink->number(sink->to, "live", (double)s->store.n);
        show_ids(s, NULL, s->store.n, sink);
    }
    for (size_t i = 0; i < s->lists.n; i++)
        show_list(s, i, sink);
    sink->leave(sink->to);
    return OK;
}
