/* rows.c - the vertices: taking one for a row, and giving it back; removing and adding rows. */
#include "algorithms/symqg/symqg.h"

#include <inttypes.h>

#include "src/core/error.h"
#include "src/core/mem.h"

int symqg_reserve_vertices(struct symqg *s, size_t need)
{
    struct mem *mem = s->base.env.mem;

    if (need >= SYMQG_NONE ||
        !mem_grow(mem, &s->vertices, &s->vertices_capacity, need, s->stride) ||
        !mem_grow(mem, &s->ids, &s->ids_capacity, need, sizeof *s->ids) ||
        !mem_grow(mem, &s->rule, &s->rule_capacity, need,
                  s->degree / RABITQ_EDGES * sizeof *s->rule) ||
        !mem_grow(mem, &s->latches, &s->latches_capacity, need, sizeof *s->latches))
        return fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory for %zu rows", need);
    return OK;
}

/* Of `more` rows, those that no free vertex takes. */
static size_t need_of(const struct symqg *s, size_t more)
{
    return s->n + (more > s->n_free ? more - s->n_free : 0);
}

static bool has_space(const struct symqg *s, size_t more)
{
    const size_t need = need_of(s, more);

    return need <= s->vertices_capacity && need <= s->ids_capacity && need <= s->latches_capacity;
}

static int reserve(struct symqg *s, const uint64_t *ids, size_t more)
{
    const int rc = symqg_reserve_vertices(s, need_of(s, more));

    if (rc == OK && !slot_table_reserve(&s->numbers, s->ids, ids, more))
        return fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory for %zu ids", more);
    return rc;
}

static int reserve_gone(struct symqg *s, size_t more)
{
    const size_t need = s->n_free + s->n_leaving + s->n_removed + more;

    return mem_grow(s->base.env.mem, &s->gone, &s->gone_capacity, need, sizeof *s->gone)
               ? OK
               : fail(s->base.env.error, ERR_NO_MEMORY,
                      "symqg: out of memory, cannot remove %zu rows", more);
}

/* Adds or takes away a row of the sum. */
static void count_row(struct symqg *s, const unsigned char *row, double sign)
{
    const float *floats = (const float *)(const void *)row;

    for (size_t d = 0; d < s->base.env.dim; d++)
        s->sum[d] += sign * (s->base.env.element == INDEX_U8 ? (double)row[d] : (double)floats[d]);
}

static void mean_row(const struct symqg *s, void *row)
{
    uint8_t *bytes = row;
    float *floats = row;

    for (size_t d = 0; d < s->base.env.dim; d++) {
        const double mean = s->sum[d] / (double)s->numbers.n;

        if (s->base.env.element == INDEX_U8)
            bytes[d] = (uint8_t)(mean < 0 ? 0 : mean > 255 ? 255 : mean + .5);
        else
            floats[d] = (float)mean;
    }
}

/* The first of the other groups takes the place of the last free one. */
static uint32_t take_free(struct symqg *s)
{
    const uint32_t v = s->gone[--s->n_free];
    const size_t last_leaving = s->n_free + s->n_leaving, last = last_leaving + s->n_removed;

    s->gone[s->n_free] = s->gone[last_leaving];
    s->gone[last_leaving] = s->gone[last];
    return v;
}

static void clear_edges(struct symqg *s, uint32_t v)
{
    unsigned char *vertex = symqg_vertex(s, v);

    for (size_t b = 0; b < s->degree / RABITQ_EDGES; b++)
        rabitq_edges_clear(s->quantizer, vertex + s->blocks_at + b * s->block_bytes);
    memset(symqg_links(s, v), 0xff, s->degree * sizeof(uint32_t)); /* SYMQG_NONE */
    memset(symqg_rule(s, v), 0, s->degree / RABITQ_EDGES * sizeof(uint32_t));
}

static uint32_t take(struct symqg *s, const void *row, uint64_t id)
{
    const bool fresh = s->n_free == 0;
    const uint32_t v = fresh ? (uint32_t)s->n : take_free(s);
    unsigned char *vertex = symqg_vertex(s, v);

    if (fresh) {
        atomic_init(&s->latches[v], 0);
        symqg_set_id(s, v, INDEX_NO_ID);
    }
    latch_take(&s->latches[v]); /* edges of a removed vertex may lead to a free one */
    memset(vertex, 0, s->stride);
    memcpy(vertex, row, s->row_bytes);
    clear_edges(s, v);
    symqg_set_id(s, v, id);
    latch_give(&s->latches[v]);
    if (fresh)
        s->n++;
    s->n_changes++;
    slot_table_put(&s->numbers, id, v);
    count_row(s, vertex, 1);
    return v;
}

static void bury(struct symqg *s, uint32_t v)
{
    uint32_t same;

    (void)slot_table_remove(&s->numbers, s->ids, s->ids[v], &same);
    symqg_set_id(s, v, INDEX_NO_ID);
    s->n_changes++;
    s->gone[s->n_free + s->n_leaving + s->n_removed++] = v;
    count_row(s, symqg_vertex(s, v), -1);
}

static void free_leaving(struct symqg *s)
{
    symqg_hold_alone(s);
    for (size_t i = 0; i < s->n_leaving; i++)
        clear_edges(s, s->gone[s->n_free + i]);
    symqg_share_again(s);
    s->n_free += s->n_leaving;
    s->n_leaving = s->n_removed;
    s->n_removed = 0;
    s->cursor = 0;
}

static void forget_all(struct symqg *s)
{
    s->n = 0;
    s->n_free = s->n_leaving = s->n_removed = s->cursor = 0;
    s->entry = 0;
    slot_table_free(&s->numbers);
    slot_table_init(&s->numbers, s->base.env.mem);
    memset(s->sum, 0, s->base.env.dim * sizeof *s->sum);
}

/* Removing rows, as IP-DiskANN does (Xu et al. 2025, arXiv 2502.13826): a search for the row visits
   most vertices with edges to it, and these get edges to its nearest rows instead. The sweep finds
   the edges that the search did not. */

/* SEARCH_EF: of the search for the row. NEAR, EDGES: k and c of the paper, whose c is 3; 5 raises
   the recall after turnover by up to .7 points. SWEEP_STEPS: vertices swept per change, so that at
   most about a thirtieth of the vertices wait to become free. */
enum { SEARCH_EF = 64, NEAR = 50, EDGES = 5, SWEEP_STEPS = 64, ENTRY_EF = 32 };

/* Rows near a removed one, all live. */
struct near {
    uint32_t to[SYMQG_DEGREE_MAX];
    size_t n;
};

static struct near nearest_live(const struct symqg *s, struct symqg_scratch *x)
{
    struct near near = { .n = 0 };

    symqg_sort_keys(x->expanded, x->n_expanded);
    for (size_t i = 0; i < x->n_expanded && near.n < NEAR; i++) {
        const uint32_t v = candidate_node(x->expanded[i]);

        if (symqg_is_live(s, v))
            near.to[near.n++] = v;
    }
    return near;
}

static struct near neighbours_of(const struct symqg *s, uint32_t v)
{
    const uint32_t *links = symqg_links(s, v);
    struct near near = { .n = 0 };

    for (size_t i = 0; i < s->degree && links[i] != SYMQG_NONE; i++) {
        if (symqg_is_live(s, links[i]))
            near.to[near.n++] = links[i];
    }
    return near;
}

/* The rows nearest to v among those near, but for v; returns their number. */
static size_t nearest_to(const struct symqg *s, uint32_t v, const struct near *near,
                         uint32_t out[EDGES])
{
    uint64_t best[EDGES + 1];
    size_t n = 0;

    for (size_t i = 0; i < near->n; i++) {
        uint64_t key = candidate_of(
            symqg_distance(s, symqg_vertex(s, v), symqg_vertex(s, near->to[i])), near->to[i]);

        if (near->to[i] == v)
            continue;
        for (size_t j = 0; j < n; j++) {
            const uint64_t other = best[j];

            best[j] = key < other ? key : other;
            key = key < other ? other : key;
        }
        if (n < EDGES)
            best[n++] = key;
    }
    for (size_t j = 0; j < n; j++)
        out[j] = candidate_node(best[j]);
    return n;
}

/* Each neighbour gets edges from the rows nearest to it. A row adds its edges together, because it
   computes the distances of those it has once. */
static void lead_to(struct symqg *s, struct symqg_scratch *x, const struct near *neighbours,
                    const struct near *near)
{
    uint32_t from[SYMQG_DEGREE_MAX][EDGES], more[SYMQG_DEGREE_MAX];

    for (size_t i = 0; i < neighbours->n; i++) {
        for (size_t e = nearest_to(s, neighbours->to[i], near, from[i]); e < EDGES; e++)
            from[i][e] = SYMQG_NONE;
    }
    for (size_t c = 0; c < near->n; c++) {
        size_t n_more = 0;

        for (size_t i = 0; i < neighbours->n; i++)
            for (size_t e = 0; e < EDGES; e++)
                if (from[i][e] == near->to[c])
                    more[n_more++] = neighbours->to[i];
        if (n_more > 0)
            (void)symqg_add_edges(s, x, near->to[c], more, n_more, false);
    }
}

/* The vertices with edges to v get others, and its neighbours edges from others. */
static void reconnect(struct symqg *s, struct symqg_scratch *x, uint32_t v)
{
    const struct near near = nearest_live(s, x), neighbours = neighbours_of(s, v);
    uint32_t others[EDGES];

    for (size_t i = 0; i < x->n_expanded; i++) {
        const uint32_t from = candidate_node(x->expanded[i]);

        if (symqg_is_live(s, from) && symqg_has_edge(s, from, v))
            (void)symqg_add_edges(s, x, from, others, nearest_to(s, from, &near, others), false);
    }
    lead_to(s, x, &neighbours, &near);
}

/* Another entry, the live row nearest to the mean that a search finds. Without memory for the
   search the entry stays. */
static void move_entry(struct symqg *s, struct symqg_scratch *x)
{
    uint64_t best = UINT64_MAX;

    mean_row(s, x->mean);
    if (symqg_beam(s, x, x->mean, ENTRY_EF) != OK) {
        error_clear(s->base.env.error);
        return;
    }
    for (size_t i = 0; i < x->n_expanded; i++) {
        if (x->expanded[i] < best && symqg_is_live(s, candidate_node(x->expanded[i])))
            best = x->expanded[i];
    }
    if (best != UINT64_MAX)
        s->entry = candidate_node(best);
}

/* An edge of v that leads to a removed vertex gives way to edges to neighbours of that one. */
static void sweep_one(struct symqg *s, struct symqg_scratch *x, uint32_t v)
{
    const uint32_t *links = symqg_links(s, v);
    uint32_t others[SYMQG_MORE];
    size_t n = 0;
    bool found = false;

    for (size_t i = 0; i < s->degree && links[i] != SYMQG_NONE; i++) {
        if (symqg_is_live(s, links[i]))
            continue;
        const struct near near = neighbours_of(s, links[i]);

        if (n + EDGES <= SYMQG_MORE)
            n += nearest_to(s, v, &near, others + n);
        found = true;
    }
    if (found)
        symqg_relink(s, x, v, others, n);
}

static void sweep(struct symqg *s, struct symqg_scratch *x)
{
    if (s->n_leaving + s->n_removed == 0)
        return;
    if (s->n_leaving == 0)
        free_leaving(s);
    for (size_t i = 0; i < SWEEP_STEPS && s->cursor < s->n; i++, s->cursor++) {
        if (symqg_is_live(s, (uint32_t)s->cursor))
            sweep_one(s, x, (uint32_t)s->cursor);
    }
    if (s->cursor == s->n) {
        free_leaving(s);
        move_entry(s, x);
    }
}

/* found: x->expanded are the vertices near v. */
static void take_out(struct symqg *s, struct symqg_scratch *x, uint32_t v, bool found)
{
    if (found)
        reconnect(s, x, v);
    if (s->entry == v) {
        move_entry(s, x);
        for (uint32_t i = 0; !symqg_is_live(s, s->entry); i++) /* the search found no live row */
            s->entry = i;
    }
    sweep(s, x);
}

/* Without memory for the search, the sweep alone finds the edges. */
static void remove_one(struct symqg *s, struct symqg_scratch *x, uint32_t v)
{
    const bool found = symqg_beam(s, x, symqg_vertex(s, v), SEARCH_EF) == OK;

    if (!found)
        error_clear(s->base.env.error);
    pthread_rwlock_rdlock(&s->lock);
    bury(s, v);
    if (s->numbers.n > 0) {
        take_out(s, x, v, found);
    } else {
        symqg_hold_alone(s);
        forget_all(s);
    }
    pthread_rwlock_unlock(&s->lock);
}

int symqg_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct symqg *s = (struct symqg *)index;
    struct symqg_scratch *x = NULL;
    uint32_t v;
    int rc = reserve_gone(s, n);

    *done = 0;
    if (rc == OK && s->n > 0) {
        x = symqg_scratch_take(s, s->n);
        if (!x)
            rc = fail(index->env.error, ERR_NO_MEMORY, "symqg: out of memory, cannot remove");
    }
    for (; *done < n && rc == OK; *done += rc == OK) {
        if (slot_table_get(&s->numbers, s->ids, ids[*done], &v))
            remove_one(s, x, v);
        else
            rc = fail(index->env.error, ERR_UNKNOWN_ID, "symqg: id %" PRIu64 " is not stored",
                      ids[*done]);
    }
    scratch_pool_give(&s->scratch, x);
    return rc;
}

/* Adding rows. The first batch is built at once; later rows are linked one by one. */

/* Trains the quantizer: of the rows it needs only the mean, so a sample is enough. */
static int make_quantizer(struct symqg *s, struct vectors rows)
{
    enum { SAMPLE = 10000 };
    const struct index_env *env = &s->base.env;
    const struct quantizer_options options = {
        .kind = QUANTIZER_RABITQ, .seed = s->base.env.seed, .bits = 1, .eps0 = 1.9
    };
    const size_t n = rows.n < SAMPLE ? rows.n : SAMPLE;
    float *floats = mem_array(env->mem, n * env->dim, sizeof *floats);

    if (!floats)
        return fail(env->error, ERR_NO_MEMORY, "symqg: out of memory for a sample of %zu rows", n);
    for (size_t i = 0; i < n; i++)
        rows_to_floats(env, (const char *)rows.rows + i * (rows.n / n) * s->row_bytes, 1,
                       floats + i * env->dim);
    struct quantizer *trained;
    const int rc = quantizer_train(&trained, env, &options, floats, n);
    mem_free(env->mem, floats);
    if (rc != OK)
        return rc;
    quantizer_destroy(env, s->quantizer); /* of rows that are all removed, if there is one */
    s->quantizer = trained;
    symqg_lay_out(s);
    return OK;
}

/* The live rows that a search has expanded, and the entry if there are none. The search may have
   come through v, which was free. */
static size_t live_candidates(const struct symqg *s, struct symqg_scratch *x, uint32_t v)
{
    size_t n = 0;

    for (size_t i = 0; i < x->n_expanded; i++) {
        const uint32_t found = candidate_node(x->expanded[i]);

        if (found != v && symqg_is_live(s, found))
            x->expanded[n++] = x->expanded[i];
    }
    if (n == 0)
        x->expanded[n++] = candidate_of(
            symqg_distance(s, symqg_vertex(s, v), symqg_vertex(s, s->entry)), s->entry);
    return n;
}

/* Links v, which has no edges yet, with the rows that a search has expanded. An edge leads to it.
   */
static void link_row(struct symqg *s, struct symqg_scratch *x, uint32_t v)
{
    size_t n = live_candidates(s, x, v), linked = 0;
    const size_t kept = symqg_prune(s, v, x->expanded, &n);

    symqg_set_edges(s, x, v, x->expanded, kept, n);
    for (size_t i = 0; i < n; i++)
        linked += symqg_add_edges(s, x, candidate_node(x->expanded[i]), &v, 1, false);
    if (linked == 0)
        (void)symqg_add_edges(s, x, candidate_node(x->expanded[0]), &v, 1, true);
}

/* The search comes first, because only it can fail. */
static int add(struct symqg *s, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct symqg_scratch *x = symqg_scratch_take(s, s->n + rows.n);
    int rc = x ? OK : fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory, cannot insert");

    for (; *done < rows.n && rc == OK; *done += rc == OK) {
        const unsigned char *row = (const unsigned char *)rows.rows + *done * s->row_bytes;

        rc = symqg_beam(s, x, row, (size_t)s->params.ef_construction);
        if (rc != OK)
            break;
        pthread_rwlock_rdlock(&s->lock);
        link_row(s, x, take(s, row, ids[*done]));
        sweep(s, x);
        pthread_rwlock_unlock(&s->lock);
    }
    scratch_pool_give(&s->scratch, x);
    return rc;
}

static int build(struct symqg *s, struct vectors rows, const uint64_t *ids, size_t *done)
{
    for (size_t i = 0; i < rows.n; i++)
        (void)take(s, (const unsigned char *)rows.rows + i * s->row_bytes, ids[i]);
    const int rc = symqg_build(s);
    if (rc != OK)
        forget_all(s);
    *done = s->n;
    return rc;
}

int symqg_insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct symqg *s = (struct symqg *)index;
    const bool building = s->n == 0;
    int rc = OK;

    *done = 0;
    if (rows.n == 0)
        return OK;
    const bool alone = building || !has_space(s, rows.n);
    if (alone)
        pthread_rwlock_wrlock(&s->lock);
    if (building)
        rc = make_quantizer(s, rows);
    if (rc == OK)
        rc = reserve(s, ids, rows.n);
    if (rc == OK && building)
        rc = build(s, rows, ids, done);
    if (alone)
        pthread_rwlock_unlock(&s->lock);
    return rc == OK && !building ? add(s, rows, ids, done) : rc;
}
