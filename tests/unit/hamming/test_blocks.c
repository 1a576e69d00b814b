/* test_blocks.c - the blocks of mih's buckets and of hwtree's nodes: none overlap or are left, also
 * where they are moved together. */
#include "algorithms/hamming/blocks.h"
#include "algorithms/hamming/hwtree/hwtree.h"
#include "tests/support/testing.h"

struct block_set {
    struct blocks blocks;
    uint32_t block[2000], size[2000];
    unsigned char mark[2000]; /* the expected bytes of each block */
    size_t n, moves;
};

static size_t bytes_of(const struct block_set *set, const struct slab *slab)
{
    return set->blocks.kind->head_bytes + slab->capacity * set->blocks.kind->entry_bytes;
}

/* Of buckets with and without codes, and of nodes. */
static struct block_kind kind_at(size_t i)
{
    struct block_kind kind = hwtree_block_kind;
    if (i < 2) {
        kind.head_bytes = 0;
        kind.entry_bytes = i == 0 ? 4 : 12;
    }
    return kind;
}

static void note_move(void *owner, uint32_t from, uint32_t to)
{
    struct block_set *set = owner;
    size_t i = 0;
    while (i < set->n && set->block[i] != from)
        i++;
    assert_true(i < set->n);
    set->block[i] = to;
    set->moves++;
}

static void take_block(struct block_set *set, struct rng *r, uint32_t size)
{
    const size_t i = set->n;
    set->size[i] = size;
    assert_true(hamming_blocks_take(&set->blocks, set->size[i], &set->block[i]));
    const struct slab *slab = hamming_blocks_slab(&set->blocks, set->block[i]);
    assert_int_equal(slab->capacity, hamming_blocks_capacity_for(&set->blocks, set->size[i]));
    assert_true(slab->capacity >= set->size[i]);
    set->mark[i] = (unsigned char)rng_below(r, 256);
    memset(hamming_blocks_at(slab, set->block[i]), set->mark[i], bytes_of(set, slab));
    set->n++;
}

static void give_block(struct block_set *set, size_t i)
{
    const struct slab *slab = hamming_blocks_slab(&set->blocks, set->block[i]);
    const unsigned char *bytes = hamming_blocks_at(slab, set->block[i]);
    for (size_t j = 0; j < bytes_of(set, slab); j++)
        assert_int_equal(bytes[j], set->mark[i]);
    hamming_blocks_give_back(&set->blocks, set->block[i]);
    set->n--;
    set->block[i] = set->block[set->n];
    set->size[i] = set->size[set->n];
    set->mark[i] = set->mark[set->n];
}

/* Blocks of all sizes are allocated, freed and moved at random: none overlap, none are left. */
static void test_blocks(void **state)
{
    for (size_t e = 0; e < 3; e++) {
        const struct block_kind kind = kind_at(e);
        struct block_set *set = calloc(1, sizeof *set);
        assert_non_null(set);
        struct mem mem = { 0 };
        struct error err = { 0 };
        struct rng r = rng_at(test_seed(), 90 + e);
        hamming_blocks_init(&set->blocks, &mem, &kind);
        for (size_t step = 0; step < 8000; step++) {
            const uint64_t more = step < 3000 ? 800 : step < 6000 ? 500 : 150;
            if (set->n == 0 || (set->n < 2000 && rng_below(&r, 1000) < more))
                take_block(set, &r, 1 + (uint32_t)rng_below(&r, rng_below(&r, 20) ? 90 : 3000));
            else
                give_block(set, rng_below(&r, set->n));
            if (rng_below(&r, 3) == 0)
                hamming_blocks_compact(&set->blocks, note_move, set);
            if (step % 50 == 0)
                assert_ok(hamming_blocks_check(&set->blocks, "blocks", &err), &err);
        }
        while (set->n > 0)
            give_block(set, set->n - 1);
        assert_int_equal(mem_live(&mem), 0);
        assert_true(e == 0 || set->moves > 0);
        hamming_blocks_free(&set->blocks);
        free(set);
    }
}

/* One in twenty of many blocks stays, at random places: the memory of the others is freed. */
static void test_blocks_that_stay(void **state)
{
    struct block_set *set = calloc(1, sizeof *set);
    assert_non_null(set);
    struct mem mem = { 0 };
    struct rng r = rng_at(test_seed(), 95);
    const struct block_kind kind = kind_at(1);
    hamming_blocks_init(&set->blocks, &mem, &kind);
    while (set->n < 2000)
        take_block(set, &r, 48);
    const size_t full = hamming_blocks_bytes(&set->blocks);
    while (set->n > 100) {
        give_block(set, rng_below(&r, set->n));
        hamming_blocks_compact(&set->blocks, note_move, set);
    }
    assert_true(hamming_blocks_bytes(&set->blocks) < full / 4);
    while (set->n > 0)
        give_block(set, set->n - 1);
    assert_int_equal(mem_live(&mem), 0);
    hamming_blocks_free(&set->blocks);
    free(set);
}

int main(void)
{
    return test_run_all("blocks", test_blocks, test_blocks_that_stay);
}
