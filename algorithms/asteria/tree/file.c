/* file.c - the tree in a snapshot: its arrays as they are, so that the tree read behaves as the
   one written. */
#include <string.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/tree/internal.h"
#include "algorithms/common/durable/store_file.h"

struct values {
    const struct asteria_bec_state *head;
    const struct asteria_bec_node *nodes;
    const struct asteria_bec_bit *tallies;
    const double *sums;
    const float *medoids;
    const struct asteria_bec_row *rows;
    const int8_t *q;
};

static int fields(struct store_fields *f, const struct asteria_bec *b, struct values *v)
{
    if (store_field(f, "bec.head", &v->head, 1, sizeof *v->head) != OK)
        return f->code;
    const uint64_t nodes = v->head->n_nodes, slots = v->head->n_slots;
    if (f->r && (v->head->rank != b->state.rank || v->head->bits != b->state.bits || nodes < 1 ||
                 nodes >= BEC_NONE || slots >= BEC_NONE))
        return f->code = store_corrupt(f->r, "the clusters are another model's, or none");
    store_field(f, "bec.nodes", &v->nodes, nodes, sizeof *v->nodes);
    store_field(f, "bec.tallies", &v->tallies, nodes * b->state.bits, sizeof *v->tallies);
    store_field(f, "bec.sums", &v->sums, nodes * b->state.rank, sizeof *v->sums);
    store_field(f, "bec.medoids", &v->medoids, nodes * b->state.rank, sizeof *v->medoids);
    store_field(f, "bec.rows", &v->rows, slots, sizeof *v->rows);
    return store_field(f, "bec.q", &v->q, slots * b->state.bits, sizeof *v->q);
}

void asteria_bec_write(const struct asteria_bec *b, struct store_writer *w)
{
    struct values v = { &b->state, b->nodes, b->tallies, b->sums, b->medoids, b->rows, b->q };

    (void)fields(&(struct store_fields){ .w = w }, b, &v);
}

/* Whether the free list has all unused nodes and no others. */
static bool free_pairs_are_sound(const struct asteria_bec *b)
{
    size_t unused = 0, listed = 0;
    uint32_t pair = b->state.free_pair;

    for (size_t i = 0; i < b->state.n_nodes; i++)
        unused += !b->nodes[i].used;
    for (; pair != BEC_NONE && listed < unused; pair = b->nodes[pair].parent, listed += 2)
        if ((size_t)pair + 1 >= b->state.n_nodes || b->nodes[pair].used || b->nodes[pair + 1].used)
            return false;
    return pair == BEC_NONE && listed == unused;
}

static void copy(void *to, const void *from, size_t bytes)
{
    if (bytes > 0)
        memcpy(to, from, bytes);
}

static int take_arrays(struct asteria_bec *b, const struct store_reader *r, const struct values *v)
{
    const struct asteria_bec_state *h = v->head;
    const size_t nodes = h->n_nodes, slots = h->n_slots;
    int rc = asteria_bec_reserve_nodes(b, nodes);

    if (rc == OK)
        rc = asteria_bec_reserve(b, slots);
    if (rc != OK)
        return rc;
    copy(b->nodes, v->nodes, nodes * sizeof *b->nodes);
    copy(b->tallies, v->tallies, nodes * b->state.bits * sizeof *b->tallies);
    copy(b->sums, v->sums, nodes * b->state.rank * sizeof *b->sums);
    copy(b->medoids, v->medoids, nodes * b->state.rank * sizeof *b->medoids);
    copy(b->rows, v->rows, slots * sizeof *b->rows);
    copy(b->q, v->q, slots * b->state.bits);
    b->state = *h;
    if (h->round > BEC_ROUNDS || h->cursor > slots || !free_pairs_are_sound(b))
        return store_corrupt(r, "the clusters' lists lead nowhere");
    return OK;
}

static int read_into(struct asteria_bec *b, const struct store_reader *r)
{
    struct values v = { 0 };
    struct error why = { 0 };
    int rc = fields(&(struct store_fields){ .r = r }, b, &v);

    if (rc == OK)
        rc = take_arrays(b, r, &v);
    if (rc == OK && asteria_bec_check_shape(b, &why) != OK)
        rc = store_corrupt(r, why.text);
    return rc;
}

int asteria_bec_read(struct asteria_bec **out, const struct index_env *env,
                     const struct asteria_model *model, const struct asteria_bec_options *options,
                     const struct store_reader *r)
{
    int rc = asteria_bec_create(out, env, model, options);

    if (rc == OK && (rc = read_into(*out, r)) != OK) {
        asteria_bec_destroy(*out);
        *out = NULL;
    }
    return rc;
}
