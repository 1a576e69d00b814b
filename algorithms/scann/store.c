/* store.c - the sections of a file: the rows with their ids, and the trained lists with their codes.
 * Places are made again from the lists. */
#include "algorithms/scann/scann.h"

#include <float.h>
#include <string.h>

#include "src/core/mem.h"

struct state {
    uint64_t n, n_lists, copies, blocks, fixed, train_at, trainings, removed;
    struct stop_learnt stop;
    double greatest;
};

/* What a file has; from the centroids on, if there are lists. */
struct values {
    const struct state *state;
    const uint64_t *ids;
    const float *rows, *centroids;
    const uint64_t *lengths;
    const double *errors; /* of each list: now, when trained */
    const uint32_t *slots;
    const uint8_t *second; /* whether the copy is the row's second one */
    const uint8_t *codes;
};

static size_t blocks_of(size_t n)
{
    return (n + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK;
}

static int list_fields(struct store_fields *f, struct scann *s, struct values *v)
{
    struct scann_lists *l = &s->lists;
    const uint64_t n = v->state->n_lists, copies = v->state->copies;
    quantizer_field(f, "quantizer", &s->base.env, &l->quantizer);
    if (f->code == OK && (!l->quantizer || l->quantizer->kind != QUANTIZER_ANISOTROPIC))
        f->code = store_corrupt(f->r, "the quantizer is missing, or of another kind");
    if (f->code != OK)
        return f->code;
    store_field(f, "centroids", &v->centroids, n, s->base.env.dim * sizeof *v->centroids);
    if (store_pieces(f, "lengths", &v->lengths, n, sizeof *v->lengths))
        for (size_t i = 0; i < n; i++)
            store_write(f->w, &(uint64_t){ l->list[i].n }, sizeof *v->lengths);
    if (store_pieces(f, "errors", &v->errors, 2 * n, sizeof *v->errors))
        for (size_t i = 0; i < n; i++)
            store_write(f->w, (double[]){ l->list[i].error, l->list[i].trained_error },
                        2 * sizeof *v->errors);
    if (store_pieces(f, "slots", &v->slots, copies, sizeof *v->slots))
        for (size_t i = 0; i < n; i++)
            store_write(f->w, l->list[i].slots, l->list[i].n * sizeof *v->slots);
    if (store_pieces(f, "second", &v->second, copies, 1))
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < l->list[i].n; j++) {
                const struct scann_place *first = l->places + 2 * (size_t)l->list[i].slots[j];
                store_write(f->w, &(uint8_t){ first->list != i }, 1);
            }
    if (store_pieces(f, "codes", &v->codes, v->state->blocks, l->quantizer->block_bytes))
        for (size_t i = 0; i < n; i++)
            store_write(f->w, l->list[i].codes,
                        blocks_of(l->list[i].n) * l->quantizer->block_bytes);
    return f->code;
}

static int fields(struct store_fields *f, struct scann *s, struct values *v)
{
    if (store_field(f, "state", &v->state, 1, sizeof *v->state) != OK)
        return f->code;
    if (f->r && (v->state->n >= UINT32_MAX || v->state->n_lists >= UINT32_MAX))
        return f->code = store_corrupt(f->r, "a count is out of range");
    if (f->r && (!stop_rule_valid(&v->state->stop.rule) ||
                 !(v->state->greatest >= 0 && v->state->greatest <= DBL_MAX)))
        return f->code = store_corrupt(f->r, "the rule of target_recall is invalid");
    store_field(f, "ids", &v->ids, v->state->n, sizeof *v->ids);
    store_field(f, "rows", &v->rows, v->state->n, s->base.env.dim * sizeof *v->rows);
    return v->state->n_lists > 0 ? list_fields(f, s, v) : f->code;
}

int scann_write(struct index *index, struct store_writer *w)
{
    struct scann *s = scann_of(index);
    struct state state = { .n = s->store.n,
                           .n_lists = s->lists.n,
                           .copies = s->lists.copies,
                           .fixed = s->fixed,
                           .train_at = s->train_at,
                           .trainings = s->trainings,
                           .removed = s->removed,
                           .stop = s->stop,
                           .greatest = s->greatest };
    for (size_t i = 0; i < s->lists.n; i++)
        state.blocks += blocks_of(s->lists.list[i].n);
    struct values v = { .state = &state,
                        .ids = s->store.ids,
                        .rows = s->store.floats,
                        .centroids = s->lists.centroids };
    return fields(&(struct store_fields){ .w = w }, s, &v);
}

/* --------------------------------------------------------------------------------- load */

/* Each row has a first copy, at most one second, in two lists. */
static int take_copy(const struct store_reader *r, const struct scann *s, struct scann_lists *to,
                     uint32_t slot, unsigned second, struct scann_place place)
{
    if (slot >= s->store.n || second > 1)
        return store_corrupt(r, "a copy has no row");
    struct scann_place *places = to->places + 2 * (size_t)slot;
    if (places[second].list != NO_LIST || places[1 - second].list == place.list)
        return store_corrupt(r, "a row is in a list twice, or in three");
    places[second] = place;
    to->copies++;
    return OK;
}

static int take_list(const struct store_reader *r, const struct scann *s, struct scann_lists *to,
                     size_t i, struct values *v)
{
    struct scann_list *l = &to->list[i];
    const size_t n = v->lengths[i], bytes = blocks_of(n) * to->quantizer->block_bytes;
    struct mem *mem = s->base.env.mem;
    int rc = OK;
    l->error = v->errors[2 * i];
    l->trained_error = v->errors[2 * i + 1];
    if (n == 0) {
        to->empty++;
        return OK;
    }
    if (!mem_grow(mem, &l->slots, &l->slots_capacity, n, sizeof *l->slots) ||
        !mem_grow(mem, &l->codes, &l->codes_capacity, bytes, 1))
        return fail(s->base.env.error, ERR_NO_MEMORY, "scann: out of memory for a list");
    memcpy(l->slots, v->slots, n * sizeof *l->slots);
    memcpy(l->codes, v->codes, bytes);
    memset(l->codes + bytes, 0, l->codes_capacity - bytes);
    for (size_t j = 0; !rc && j < n; j++)
        rc = take_copy(r, s, to, v->slots[j], v->second[j],
                       (struct scann_place){ (uint32_t)i, (uint32_t)j });
    l->n = n;
    v->slots += n;
    v->second += n;
    v->codes += bytes;
    return rc;
}

static int take_lists(struct scann *s, const struct store_reader *r, struct values v)
{
    const struct index_env *env = &s->base.env;
    struct scann_lists *to = &s->lists;
    const size_t n = v.state->n_lists;
    uint64_t copies = 0, blocks = 0;
    int rc = OK;
    for (size_t i = 0; i < n; i++) {
        if (v.lengths[i] > s->store.n)
            return store_corrupt(r, "a list is longer than the index");
        copies += v.lengths[i];
        blocks += blocks_of(v.lengths[i]);
    }
    if (copies != v.state->copies || blocks != v.state->blocks)
        return store_corrupt(r, "the lengths of the lists do not fit their copies and codes");
    to->centroids = mem_array(env->mem, n * env->dim, sizeof *to->centroids);
    to->list = mem_zalloc(env->mem, n * sizeof *to->list);
    if (!to->centroids || !to->list || !scann_places_reserve(env, to, s->store.ids_capacity))
        return fail(env->error, ERR_NO_MEMORY, "scann: out of memory, cannot load %zu lists", n);
    to->n = n;
    memcpy(to->centroids, v.centroids, n * env->dim * sizeof *to->centroids);
    for (size_t i = 0; i < 2 * s->store.n; i++)
        to->places[i] = (struct scann_place){ NO_LIST, 0 };
    for (size_t i = 0; !rc && i < n; i++)
        rc = take_list(r, s, to, i, &v);
    for (size_t i = 0; !rc && i < s->store.n; i++)
        if (to->places[2 * i].list == NO_LIST)
            rc = store_corrupt(r, "a row is in no list");
    return rc;
}

int scann_read(struct index *index, struct store_reader *r)
{
    struct scann *s = scann_of(index);
    struct values v = { 0 };
    int rc = fields(&(struct store_fields){ .r = r }, s, &v);
    if (!rc)
        rc = dense_rows_take(&s->store, r, v.rows, v.ids, v.state->n);
    if (!rc && v.state->n_lists > 0)
        rc = take_lists(s, r, v);
    if (rc)
        return rc;
    s->fixed = v.state->fixed != 0;
    s->train_at = v.state->train_at;
    s->trainings = v.state->trainings;
    s->removed = v.state->removed;
    s->stop = v.state->stop;
    s->greatest = v.state->greatest;
    return OK;
}
