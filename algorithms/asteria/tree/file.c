/* file.c - the tree in a snapshot: its arrays as they are, so that the tree read behaves as the
   one written. */
#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/tree/internal.h"
#include "algorithms/common/durable/store_file.h"

static int fields(struct store_fields *f, struct asteria_bec *b)
{
    struct asteria_bec_state head = b->state;

    if (store_copy(f, "bec.head", &head, 1, sizeof head) != OK)
        return f->code;
    const uint64_t nodes = head.n_nodes, slots = head.n_slots, bits = head.bits, rank = head.rank;
    if (f->r && (rank != b->state.rank || bits != b->state.bits || nodes < 1 || nodes >= BEC_NONE ||
                 slots >= BEC_NONE))
        return f->code = store_corrupt(f->r, "the clusters are another model's, or none");
    if (f->r)
        b->state = head;
    store_array(f, "bec.nodes", &b->nodes, &b->nodes_capacity, nodes, sizeof *b->nodes);
    store_array(f, "bec.tallies", &b->tallies, &b->tallies_capacity, nodes * bits,
                sizeof *b->tallies);
    store_array(f, "bec.sums", &b->sums, &b->sums_capacity, nodes * rank, sizeof *b->sums);
    store_array(f, "bec.medoids", &b->medoids, &b->medoids_capacity,
                nodes * rank * (1 + b->options.prototypes), sizeof *b->medoids);
    store_array(f, "bec.rows", &b->rows, &b->rows_capacity, slots, sizeof *b->rows);
    return store_array(f, "bec.q", &b->q, &b->q_capacity, slots * bits, sizeof *b->q);
}

void asteria_bec_write(const struct asteria_bec *b, struct store_writer *w)
{
    (void)fields(&(struct store_fields){ .w = w }, (struct asteria_bec *)(uintptr_t)b);
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

static int read_into(struct asteria_bec *b, const struct store_reader *r)
{
    struct error why = { 0 };
    const int rc = fields(&(struct store_fields){ .r = r, .mem = b->env.mem }, b);

    if (rc != OK)
        return rc;
    if (b->state.round > BEC_ROUNDS || b->state.cursor > b->state.n_slots ||
        !free_pairs_are_sound(b))
        return store_corrupt(r, "the clusters' lists lead nowhere");
    return asteria_bec_check_shape(b, &why) == OK ? OK : store_corrupt(r, why.text);
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
