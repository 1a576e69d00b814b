/* test_bec.c - the tree of clusters, with asteria_bec_check() after each step, which finds errors;
 * a damaged file of a tree is refused; clusters by cluster(). What its levels and medoids promise
 * is contract/test_clusters, that a tree read behaves as the one written test_store.c's.
 */
#include "tests/unit/asteria/sections.h"
#include "tests/unit/asteria/support.h"
#include "tests/unit/asteria/tree/bec.h"

static void test_rows_come_and_go(void **state)
{
    static const struct {
        enum asteria_code code;
        unsigned bits;
        size_t cap, clusters;
        double spread;
        unsigned constant;
    } cases[] = { { ECC_GOLAY, 12, 50, 0, 1, 0 }, { ECC_NONE, 8, 20, 12, .5, 0 },
                  { ECC_GOLAY, 5, 4, 3, .2, 0 },  { ECC_HAMMING, 9, 30, 5, .8, 5 },
                  { ECC_NONE, 1, 10, 0, 1, 0 },   { ECC_NONE, 24, 16, 0, 1, 0 },
                  { ECC_BCH, 6, 40, 1, 0, 0 } /* all rows are equal */ };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct forest f;
        forest_open(&f, cases[c].code, cases[c].bits, cases[c].cap, cases[c].clusters,
                    cases[c].spread, cases[c].constant, 10 + c);
        forest_check(&f);
        for (unsigned step = 0; step < 60; step++) {
            bool more;
            const bool grow = rng_below(&f.rng, 100) < (step < 35 ? 75 : 25);
            const size_t n = rng_below(&f.rng, 300);
            assert_ok(asteria_bec_reserve(f.bec, SLOTS), &f.bench.error);
            for (size_t i = 0; i < n; i++) {
                const uint32_t slot = (uint32_t)rng_below(&f.rng, SLOTS);
                if (grow && !f.alive[slot])
                    forest_add(&f, slot);
                else if (!grow && f.alive[slot])
                    forest_take(&f, slot);
            }
            forest_check(&f);
            assert_ok(asteria_bec_maintain(
                          f.bec, rng_below(&f.rng, 3) ? 1 + rng_below(&f.rng, 500) : 0, &more),
                      &f.bench.error);
            forest_check(&f);
        }
        forest_maintain_all(&f);
        forest_take_all(&f, 0, SLOTS);
        forest_maintain_all(&f);
        assert_int_equal(asteria_bec_count(f.bec, 0), 1);
        forest_close(&f);
    }
}

/* Whether the bit's entropy and mean margin among a leaf's rows allow a split. */
static bool may_split(const struct asteria_bec *b, uint32_t leaf, unsigned bit)
{
    double ones = 0, margin = 0, n = 0;

    for (uint32_t slot = b->nodes[leaf].first; slot != BEC_NONE; slot = b->rows[slot].next, n++) {
        ones += b->rows[slot].address >> bit & 1;
        margin += abs(2 * bec_q(b, slot)[bit] + 1);
    }
    const double p = ones / n;
    return p > 0 && p < 1 && -p * log2(p) - (1 - p) * log2(1 - p) >= .8 &&
           margin / n >= BEC_LEAST_MARGIN;
}

static void test_leaves_split_at_the_cap(void **state)
{
    struct forest f;
    const unsigned constant = 1U << 2 | 1U << 7;

    forest_open(&f, ECC_NONE, 10, 100, 20, 0.7, constant, 30);
    forest_add_all(&f, 0, 100);
    forest_maintain_all(&f);
    assert_int_equal(asteria_bec_count(f.bec, 0), 1);
    forest_add_all(&f, 100, SLOTS);
    forest_maintain_all(&f);
    const struct asteria_bec *b = f.bec;
    assert_true(asteria_bec_count(b, 0) > 20);
    for (uint32_t i = 0; i < b->state.n_nodes; i++) {
        if (!b->nodes[i].used)
            continue;
        assert_int_equal(b->nodes[i].mask & constant, 0);
        if (!bec_is_leaf(b, i) || b->nodes[i].n <= 100)
            continue;
        for (unsigned place = b->nodes[i].next; place < b->state.bits; place++)
            assert_false(may_split(b, i, b->order[place]));
    }
    forest_close(&f);
}

/* From the rows, not from counts: the entropy of the bits of their addresses that the prefix leaves
   open. */
static double entropy_of_rows(const struct forest *f, uint32_t leaf)
{
    const struct asteria_bec *b = f->bec;
    double sum = 0;

    for (unsigned bit = 0; bit < b->state.bits; bit++) {
        double ones = 0;
        for (uint32_t slot = 0; slot < b->state.n_slots; slot++)
            ones += b->rows[slot].leaf == leaf && (b->rows[slot].address >> bit & 1);
        const double p = ones / b->nodes[leaf].n;
        if (!(b->nodes[leaf].mask >> bit & 1) && p > 0 && p < 1)
            sum -= p * log2(p) + (1 - p) * log2(1 - p);
    }
    return sum;
}

/* By the paper's rules rows whose addresses differ in four bits only stay together, however many
   they are. */
static void test_leaves_split_by_entropy(void **state)
{
    enum { CAP = 20 };
    struct forest f;

    forest_open(&f, ECC_NONE, 10, CAP, 20, 0.7, 0x3f, 36);
    forest_by_paper(&f, 0);
    forest_add_all(&f, 0, 3000);
    forest_maintain_all(&f);
    assert_int_equal(asteria_bec_count(f.bec, 0), 1);
    for (uint32_t slot = 3000; slot < SLOTS; slot++)
        for (unsigned bit = 0; bit < 6; bit++)
            f.z[slot][bit] = 0.1F * (float)rng_normal(&f.rng);
    forest_add_all(&f, 3000, SLOTS);
    forest_maintain_all(&f);
    const struct asteria_bec *b = f.bec;
    unsigned crowded = 0;
    assert_true(asteria_bec_count(b, 0) > 4);
    for (uint32_t i = 0; i < b->state.n_nodes; i++) {
        if (!b->nodes[i].used || !bec_is_leaf(b, i) || b->nodes[i].n <= CAP)
            continue;
        const bool few = entropy_of_rows(&f, i) <= log2(CAP);
        crowded += few;
        for (unsigned place = b->nodes[i].next; place < b->state.bits && !few; place++)
            assert_false(may_split(b, i, b->order[place]));
    }
    assert_true(crowded > 0);
    forest_close(&f);
}

/* A split uses the first allowed bit of the order, and moves each row by its address. */
static void test_a_split_is_by_the_next_bit(void **state)
{
    struct forest f;
    uint64_t spent = 0;

    forest_open(&f, ECC_NONE, 8, 50, 9, 0.6, 1U << 3, 31);
    /* The first bit of the order is set in a tenth of the rows: it is skipped. */
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        f.z[slot][5] = slot % 10 ? 0.9F : -0.9F;
    forest_learn_bits(&f);
    forest_create(&f);
    assert_int_equal(f.bec->order[0], 5);
    forest_add_all(&f, 0, 51);
    const struct asteria_bec *b = f.bec;
    unsigned place = 0;
    while (place < 8 && !may_split(b, 0, b->order[place]))
        place++;
    assert_true(place > 0 && place < 8);
    assert_int_equal(asteria_bec_split_place(b, 0), place);
    assert_ok(asteria_bec_split(f.bec, 0, place, &spent), &f.bench.error);
    assert_true(spent > 0 && spent <= 25 + 2 * BEC_SAMPLE);
    forest_check(&f);
    assert_int_equal(asteria_bec_count(b, 0), 2);
    for (uint32_t slot = 0; slot < 51; slot++)
        assert_int_equal(asteria_bec_leaf(b, slot),
                         1 + (forest_address(&f, slot) >> b->order[place] & 1));
    forest_close(&f);
}

/* The events, applied to a tree of the root alone, give the leaves that there are. */
static void expect_events(const struct forest *f)
{
    const struct asteria_bec *b = f->bec;
    const struct asteria_bec_event *e;
    size_t n = 0;
    bool *leaf = calloc(b->state.n_nodes, sizeof *leaf);
    uint64_t splits = 0;

    assert_non_null(leaf);
    leaf[0] = true;
    for (; (e = asteria_bec_event(b, n)); n++) {
        assert_true(leaf[e->parent] == e->split && leaf[e->child] == !e->split &&
                    leaf[e->child + 1] == !e->split);
        assert_true(!e->split || e->rows[0] + e->rows[1] > b->options.leaf_cap);
        leaf[e->parent] = !e->split;
        leaf[e->child] = leaf[e->child + 1] = e->split;
        splits += e->split;
    }
    assert_true(n == b->state.splits + b->state.merges && n < ASTERIA_BEC_EVENTS);
    assert_int_equal(splits, b->state.splits);
    for (uint32_t i = 0; i < b->state.n_nodes; i++)
        assert_true(leaf[i] == (b->nodes[i].used && bec_is_leaf(b, i)));
    free(leaf);
}

static void test_emptied_siblings_merge(void **state)
{
    struct forest f;

    forest_open(&f, ECC_NONE, 10, 100, 0, 1, 0, 32);
    forest_add_all(&f, 0, SLOTS);
    forest_maintain_all(&f);
    const size_t leaves = asteria_bec_count(f.bec, 0);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (slot % 20)
            forest_take(&f, slot);
    forest_maintain_all(&f);
    assert_true(asteria_bec_count(f.bec, 0) < leaves / 4);
    assert_true(f.bec->state.merges > 0);
    expect_events(&f);
    for (uint32_t i = 0; i < f.bec->state.n_nodes; i++)
        assert_false(f.bec->nodes[i].used && asteria_bec_merge_is_due(f.bec, i));
    forest_close(&f);
}

/* Rows without margin in their bit: siblings of any size merge. */
static void test_siblings_of_no_margin_merge(void **state)
{
    struct forest f;

    forest_open(&f, ECC_NONE, 1, 200, 0, 1, 0, 33);
    forest_add_all(&f, 0, 300);
    forest_maintain_all(&f);
    assert_false(bec_is_leaf(f.bec, 0));
    for (uint32_t slot = 1000; slot < SLOTS; slot++)
        f.z[slot][0] *= 1e-4F;
    forest_add_all(&f, 1000, SLOTS);
    forest_take_all(&f, 0, 300);
    forest_maintain_all(&f);
    assert_true(bec_is_leaf(f.bec, 0));
    forest_close(&f);
}

/* By the paper's rules siblings that few rows or no margin alone would merge stay. */
static void test_siblings_merge_by_both(void **state)
{
    struct forest f;

    forest_open(&f, ECC_NONE, 10, 100, 0, 1, 0, 37);
    forest_by_paper(&f, 0);
    forest_add_all(&f, 0, SLOTS);
    forest_maintain_all(&f);
    const size_t leaves = asteria_bec_count(f.bec, 0);
    forest_take_all(&f, 200, SLOTS);
    forest_maintain_all(&f);
    assert_true(leaves > 4 && asteria_bec_count(f.bec, 0) == leaves);
    for (uint32_t slot = 200; slot < 240; slot++) {
        for (unsigned i = 0; i < 10; i++)
            f.z[slot][i] *= 1e-4F;
        forest_add(&f, slot);
    }
    forest_take_all(&f, 0, 200);
    forest_maintain_all(&f);
    assert_true(asteria_bec_count(f.bec, 0) < leaves);
    forest_close(&f);
}

static void test_medoids_are_the_nearest_to_the_mean(void **state)
{
    struct forest f;

    forest_open(&f, ECC_GOLAY, 8, 400, 15, 0.5, 0, 34);
    forest_add_all(&f, 0, SLOTS);
    forest_maintain_all(&f);
    unsigned large = 0;
    for (uint32_t leaf = 0; leaf < f.bec->state.n_nodes; leaf++) {
        uint32_t slots[BEC_SAMPLE];
        double sum[RANK] = { 0 }, best = -INFINITY, medoid = 0;
        uint64_t spent = 0;
        if (!bec_is_leaf(f.bec, leaf) || f.bec->nodes[leaf].n == 0)
            continue;
        assert_ok(asteria_bec_medoid_find(f.bec, leaf, &spent), &f.bench.error);
        const size_t n = asteria_bec_sample(f.bec, leaf, slots);
        assert_true(spent == n && n <= BEC_SAMPLE &&
                    2 * n > BEC_SAMPLE % (f.bec->nodes[leaf].n + 1));
        large += f.bec->nodes[leaf].n > BEC_SAMPLE;
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            for (unsigned i = 0; i < RANK && asteria_bec_leaf(f.bec, slot) == leaf; i++)
                sum[i] += (double)f.z[slot][DIM - RANK + i];
        for (size_t j = 0; j < n; j++) {
            double product = 0;
            assert_int_equal(asteria_bec_leaf(f.bec, slots[j]), leaf);
            for (unsigned i = 0; i < RANK; i++)
                product += sum[i] * (double)f.z[slots[j]][DIM - RANK + i];
            best = product > best ? product : best;
            medoid = slots[j] == f.bec->nodes[leaf].medoid ? product : medoid;
        }
        assert_true(medoid > best - 1e-6);
    }
    assert_true(large > 0);
    forest_check(&f);
    forest_close(&f);
}

/* The medoid is searched again after changes of an eighth of the rows; a removed medoid is
   replaced at once. */
static void test_medoids_are_found_anew(void **state)
{
    struct forest f;
    uint32_t medoid;

    forest_open(&f, ECC_NONE, 4, 1000, 0, 1, 0, 35);
    forest_add_all(&f, 0, 800);
    forest_maintain_all(&f);
    const uint64_t found = f.bec->state.medoids_found;
    asteria_bec_medoids(f.bec, 0, &medoid);
    for (uint32_t slot = 800; slot < 900; slot++) {
        forest_maintain_all(&f);
        assert_int_equal(f.bec->state.medoids_found, found);
        forest_add_all(&f, slot, slot + 1);
    }
    forest_add_all(&f, 900, 920);
    forest_maintain_all(&f);
    assert_true(f.bec->state.medoids_found > found);
    asteria_bec_medoids(f.bec, 0, &medoid);
    forest_take(&f, medoid);
    forest_check(&f);
    forest_close(&f);
}

/* Two groups of rows in one leaf have a prototype each; a medoid alone is in one of them. */
static void test_prototypes_find_groups(void **state)
{
    struct forest f;
    double farthest = -1;

    forest_open(&f, ECC_NONE, 4, 1000, 0, 1, 0, 38);
    forest_by_paper(&f, 3);
    for (uint32_t slot = 0; slot < 800; slot++)
        for (unsigned i = 0; i < RANK; i++)
            f.z[slot][DIM - RANK + i] = (i == slot % 3 ? 1 : 0) + 0.01F * f.z[slot][i];
    forest_add_all(&f, 0, 800);
    forest_maintain_all(&f);
    assert_true(bec_is_leaf(f.bec, 0));
    for (uint32_t slot = 0; slot < 800; slot++) {
        double nearest = -1;
        for (unsigned j = 1; j <= 3; j++) {
            const float *prototype = bec_medoid_of(f.bec, 0) + (size_t)j * RANK;
            const struct kernels *kernels = f.bench.env.kernels;
            const double product = (double)kernels->ip_f32(f.z[slot] + DIM - RANK, prototype, RANK);
            assert_true(fabs((double)kernels->ip_f32(prototype, prototype, RANK) - 1) < 1e-5);
            nearest = fmax(nearest, product);
        }
        farthest = slot == 0 ? nearest : fmin(farthest, nearest);
    }
    assert_true(farthest > .9);
    forest_close(&f);
}

/* What assignment minimises, but for a constant: sum of angles to medoids + lambda (sum of margins of
   flipped bits + sum of n log n over leaves). */
static double objective(const struct forest *f, double lambda)
{
    const struct asteria_bec *b = f->bec;
    const struct kernels *kernels = f->bench.env.kernels;
    double sum = 0;

    for (uint32_t i = 0; i < b->state.n_nodes; i++)
        if (b->nodes[i].used && bec_is_leaf(b, i) && b->nodes[i].n > 0)
            sum += lambda * b->nodes[i].n * log(b->nodes[i].n);
    for (uint32_t slot = 0; slot < b->state.n_slots; slot++) {
        const uint32_t leaf = asteria_bec_leaf(b, slot);
        if (leaf == BEC_NONE)
            continue;
        const struct asteria_bec_node *node = &b->nodes[leaf];
        const uint32_t flipped = (b->rows[slot].address ^ node->value) & node->mask;
        const float *y = f->z[slot] + DIM - RANK;
        const float *medoid = bec_medoid_of(b, leaf);
        const double own = sqrt((double)kernels->ip_f32(y, y, RANK));
        const double length = own * (double)node->medoid_length;
        const double product = (double)kernels->ip_f32(y, medoid, RANK);
        double cosine = length > 0 ? product / length : 0;
        for (size_t j = 1; j <= b->options.prototypes; j++)
            cosine = fmax(cosine, (double)kernels->ip_f32(y, medoid + j * RANK, RANK) / own);
        sum += acos(fmin(fmax(cosine, -1), 1));
        if (flipped)
            sum += lambda * abs(2 * bec_q(b, slot)[__builtin_ctz(flipped)] + 1) /
                   (2 * BEC_Q_MOST / 4.);
    }
    return sum;
}

static void test_assignment_lessens_the_objective(void **state)
{
    static const double penalties[] = { 0, 0.02, 0.1, 1, 10 };

    for (size_t c = 0; c < sizeof penalties / sizeof *penalties; c++) {
        struct forest f;
        forest_open(&f, ECC_GOLAY, 9, 150, 12, 0.6, 0, 40 + c);
        if (c % 2)
            forest_by_paper(&f, c);
        f.bec->options.penalty = penalties[c];
        forest_add_all(&f, 0, SLOTS);
        for (uint32_t i = 0; i < f.bec->state.n_nodes; i++) {
            uint64_t spent = 0;
            const unsigned place = bec_is_leaf(f.bec, i) ? asteria_bec_split_place(f.bec, i) : 99;
            if (place < f.bec->state.bits)
                assert_ok(asteria_bec_split(f.bec, i, place, &spent), &f.bench.error);
        }
        assert_true(asteria_bec_rounds_are_due(f.bec));
        double first = 0;
        for (unsigned round = 0; round < BEC_ROUNDS; round++) {
            uint64_t spent = 0;
            const double lambda = asteria_bec_lambda(f.bec), before = objective(&f, lambda);
            const uint64_t moved = f.bec->state.moved;
            assert_int_equal(f.bec->state.round, round);
            assert_true(fabs(lambda - penalties[c] / (1 << round)) < 1e-12);
            while (f.bec->state.round == round)
                asteria_bec_assign(f.bec, 500, &spent);
            forest_check(&f);
            const double after = objective(&f, lambda);
            if (f.bec->state.moved > moved)
                assert_true(after < before);
            else
                assert_true(after <= before + 1e-6);
            first = round == 0 ? before - after : first;
        }
        assert_true(first > 1);
        forest_close(&f);
    }
}

/* ------------------------------------------------------------------------------------- damage */

static struct part_file file;

/* Bytes of the tree's arrays are changed before writing: the file is refused, or gives a
   valid tree. */
static void test_damage_is_refused(void **state)
{
    struct forest f;
    unsigned refused = 0;
    enum { TRIES = 600 };

    forest_open(&f, ECC_GOLAY, 7, 30, 9, 0.5, 0, 71);
    part_file_begin(&file, &f.bench);
    forest_add_all(&f, 0, 400);
    forest_maintain_all(&f);
    forest_take_all(&f, 0, 200);
    forest_maintain_all(&f);
    for (unsigned i = 0; i < TRIES; i++) {
        struct asteria_bec *b = f.bec, *again = NULL;
        unsigned char *const arrays[] = { (unsigned char *)b->nodes, (unsigned char *)b->rows,
                                          (unsigned char *)b->tallies };
        const size_t bytes[] = { b->state.n_nodes * sizeof *b->nodes,
                                 b->state.n_slots * sizeof *b->rows,
                                 b->state.n_nodes * b->state.bits * sizeof *b->tallies };
        const unsigned which = i % 3;
        unsigned char *at = arrays[which] + rng_below(&f.rng, bytes[which]);
        const unsigned char was = *at;
        *at ^= (unsigned char)(1U << rng_below(&f.rng, 8));
        asteria_bec_write(b, part_file_write(&file));
        part_file_written(&file);
        *at = was;
        const int rc =
            asteria_bec_read(&again, &f.bench.env, &f.model, &f.options, part_file_read(&file));
        store_close(&file.reader);
        if (rc == OK) {
            assert_ok(asteria_bec_check_shape(again, &f.bench.error), &f.bench.error);
            asteria_bec_destroy(again);
        } else {
            assert_code(rc, ERR_CORRUPT, &f.bench.error);
            refused++;
        }
    }
    assert_true(refused > TRIES / 4);
    part_file_end(&file);
    forest_close(&f);
}

static void test_check_finds_what_is_wrong(void **state)
{
    struct forest f;

    forest_open(&f, ECC_GOLAY, 8, 100, 9, 0.5, 0, 74);
    forest_add_all(&f, 0, 1500);
    forest_maintain_all(&f);
    struct asteria_bec *b = f.bec;
    const uint32_t leaf = asteria_bec_leaf(b, 7);
    uint32_t *const numbers[] = { &b->nodes[leaf].n,     &b->nodes[leaf].mask,
                                  &b->nodes[0].n,        &b->nodes[leaf].medoid,
                                  &b->nodes[leaf].first, &b->rows[7].address,
                                  &b->rows[7].leaf,      &b->rows[7].next,
                                  &b->rows[7].prev,      &bec_tallies(b, leaf)[3].ones };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const uint32_t was = *numbers[i];
        *numbers[i] = was == 0 ? 1 : was - 1;
        assert_code(asteria_bec_check(b, &f.bench.error), ERR_INVARIANT, &f.bench.error);
        *numbers[i] = was;
        forest_check(&f);
    }
    bec_sum(b, leaf)[2] += 0.01;
    assert_code(asteria_bec_check(b, &f.bench.error), ERR_INVARIANT, &f.bench.error);
    forest_close(&f);
}

/* --------------------------------------------------------------------------------- cluster() */

static int ignore_medoid(void *to, uint64_t cluster, uint64_t id)
{
    return OK;
}

static struct cluster_result ask(struct book *w, struct cluster_request request, uint64_t *of_ids,
                                 uint64_t *of_vectors)
{
    struct cluster_result result = { .of_ids = of_ids,
                                     .of_vectors = of_vectors,
                                     .medoid = ignore_medoid };

    request.vectors.dim = w->dim;
    request.vectors.element = INDEX_F32;
    assert_ok(asteria_ops.cluster(w->index, &request, &result), &w->bench.error);
    return result;
}

static void test_clusters(void **state)
{
    enum { ROWS = 1500, LAST = 100 };
    const struct cluster_request none = { .level = 0 };
    struct cluster_result result = { .medoid = ignore_medoid };
    uint64_t ids[LAST], before[LAST], after[LAST];
    struct book w;

    book_open(&w, "leaf_cap=50,code=none,address_bits=8", INDEX_F32, 32, ROWS, 1);
    assert_code(asteria_ops.cluster(w.index, &none, &result), ERR_UNTRAINED, &w.bench.error);
    book_train(&w, 0, ROWS);
    book_add(&w, 0, ROWS - LAST);
    book_maintain_all(&w);
    const struct cluster_result fine = ask(&w, none, NULL, NULL);
    const struct cluster_result beyond =
        ask(&w, (struct cluster_request){ .level = 64 }, NULL, NULL);
    assert_true(fine.clusters >= 8 && fine.levels >= 4);
    assert_true(beyond.clusters == 1 && beyond.level == fine.levels - 1);
    /* A vector is in the cluster that it is in once it is inserted. */
    const struct vectors last = book_vectors(&w, ROWS - LAST, LAST);
    (void)ask(&w, (struct cluster_request){ .level = 1, .vectors = last }, NULL, before);
    book_add(&w, ROWS - LAST, LAST);
    for (size_t i = 0; i < LAST; i++)
        ids[i] = ROWS - LAST + i;
    (void)ask(&w, (struct cluster_request){ .level = 1, .ids = ids, .n = LAST }, after, NULL);
    assert_memory_equal(before, after, sizeof before);
    book_close(&w);
}

int main(void)
{
    return test_run_all("asteria bec", test_rows_come_and_go, test_leaves_split_at_the_cap,
                        test_leaves_split_by_entropy, test_a_split_is_by_the_next_bit,
                        test_emptied_siblings_merge, test_siblings_of_no_margin_merge,
                        test_siblings_merge_by_both, test_medoids_are_the_nearest_to_the_mean,
                        test_medoids_are_found_anew, test_prototypes_find_groups,
                        test_assignment_lessens_the_objective, test_damage_is_refused,
                        test_check_finds_what_is_wrong, test_clusters);
}
