/* test_kinds.c - what holds for every kind of quantizer: codes that are copied, or put and read by
 * other kernels, give the same estimates; a quantizer that was saved is the same, damaged data and
 * wrong options are refused, and training without memory leaves nothing. */
#include "tests/unit/quantizer/code_lists.h"

static const struct quantizer_options kinds[] = {
    { .kind = QUANTIZER_SQ8 },
    { .kind = QUANTIZER_SKETCH, .sketch_dims = 9 },
    { .kind = QUANTIZER_PQ, .pq_bits = 4 },
    { .kind = QUANTIZER_PQ, .pq_bits = 8 },
    { .kind = QUANTIZER_RABITQ, .bits = 1, .eps0 = 1.9 },
    { .kind = QUANTIZER_RABITQ, .bits = 5, .eps0 = 1.9 },
    { .kind = QUANTIZER_RABITQ, .bits = 9, .eps0 = 1.9 },
    { .kind = QUANTIZER_PLANES, .bits = 1, .eps0 = 1.9 },
    { .kind = QUANTIZER_PLANES, .bits = 2, .eps0 = 1.9 },
    { .kind = QUANTIZER_PLANES, .bits = 4, .eps0 = 1.9 },
    { .kind = QUANTIZER_ANISOTROPIC, .eta = 2.5 },
};
enum { KINDS = sizeof kinds / sizeof *kinds, ROWS = 130 };

/* One kind, trained with the rows of a world. */
struct one {
    struct world w;
    struct quantizer_options options;
    struct quantizer *q;
    struct list list;
};

/* Returns whether there is a next one. */
static bool one_begin(struct one *o, size_t number)
{
    static const size_t dims[] = { 1, 21, 100, 130 };
    if (number / KINDS == sizeof dims / sizeof *dims)
        return false;
    world_make(&o->w, ROWS, dims[number / KINDS], 3, 0, .7, 6);
    o->options = kinds[number % KINDS];
    o->options.seed = test_seed();
    o->options.pq_groups = o->w.dim < 13 ? o->w.dim : 13;
    if (o->options.kind == QUANTIZER_ANISOTROPIC) {
        o->options.centroids = o->w.rows;
        o->options.n_centroids = 2;
    }
    assert_ok(quantizer_train(&o->q, &o->w.b.env, &o->options, o->w.rows, ROWS), &o->w.b.error);
    o->list = list_make(o->q, o->w.rows, ROWS, NULL);
    return true;
}

static void one_end(struct one *o)
{
    list_free(&o->list);
    quantizer_destroy(&o->w.b.env, o->q);
    assert_int_equal(mem_live(&o->w.b.mem), 0);
    world_free(&o->w);
}

/* A code copied to any place gives the same estimate, and is let through by the same limits. */
static void test_copy(void **state)
{
    struct one o;
    for (size_t number = 0; one_begin(&o, number); number++) {
        struct list copy = o.list;
        copy.codes = room(o.q->block_bytes);
        for (unsigned v = 0; v < 64; v++)
            quantizer_copy(o.q, o.list.codes, v, copy.codes, 63 - (v ^ 5));
        for (size_t i = 0; i < o.w.n_queries; i++) {
            void *prepared = prepare(&o.list, o.w.queries + i * o.w.dim, false);
            for (unsigned v = 0; v < 64; v++) {
                bool in, in_copy;
                assert_true(scan_one(&o.list, prepared, v, 50, &in) ==
                            scan_one(&copy, prepared, 63 - (v ^ 5), 50, &in_copy));
                assert_true(in == in_copy);
                assert_true(look_at(&o.list, prepared, v, 50, &in) ==
                            look_at(&copy, prepared, 63 - (v ^ 5), 50, &in_copy));
                assert_true(in == in_copy);
            }
            free(prepared);
        }
        free(copy.codes);
        one_end(&o);
    }
}

/* Bytes of a block that are the same whatever kernels put the codes. */
static size_t same_bytes(const struct one *o)
{
    const size_t groups = o->options.pq_groups;
    switch (o->options.kind) {
        case QUANTIZER_PQ: return 64 * (o->options.pq_bits == 8 ? groups : (groups + 1) / 2);
        case QUANTIZER_RABITQ: return o->q->work_dim / 8 * 64; /* signs */
        default: return 0;
    }
}

/* Each set of kernels reads the codes of the first alike: product codes bit for bit. */
static void test_kernels_agree(void **state)
{
    struct one o;
    for (size_t number = 0; one_begin(&o, number); number++) {
        const size_t bytes = quantizer_save(o.q, NULL);
        void *saved = room(bytes);
        assert_int_equal(quantizer_save(o.q, saved), bytes);
        for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++) {
            struct quantizer *q;
            o.w.b.env.kernels = kernels_select(isa);
            assert_ok(quantizer_load(&q, &o.w.b.env, saved, bytes), &o.w.b.error);
            struct list own = list_make(q, o.w.rows, ROWS, NULL), other = o.list;
            assert_memory_equal(own.codes, o.list.codes, same_bytes(&o));
            other.q = q;
            for (size_t i = 0; i < o.w.n_queries; i++) {
                const float *query = o.w.queries + i * o.w.dim;
                void *a = prepare(&o.list, query, false), *b = prepare(&other, query, false);
                if (o.options.kind == QUANTIZER_RABITQ)
                    assert_memory_equal((struct rabitq_query *)a + 1, (struct rabitq_query *)b + 1,
                                        q->work_dim / 8 * 32);
                for (size_t v = 0; v < ROWS; v++) {
                    bool in_a, in_b;
                    const float x = look_at(&o.list, a, v, 40, &in_a),
                                y = look_at(&other, b, v, 40, &in_b);
                    const bool is_pq = o.options.kind == QUANTIZER_PQ;
                    assert_true(is_pq ? x == y && in_a == in_b
                                      : fabs((double)(x - y)) <= 2e-5 * (10 + 4 * (double)o.w.dim));
                }
                free(a);
                free(b);
            }
            list_free(&own);
            quantizer_destroy(&o.w.b.env, q);
        }
        free(saved);
        one_end(&o);
    }
}

/* Cut, extended or changed data are refused, or give a quantizer that works; never a crash. */
static void load_damaged(struct one *o, const unsigned char *saved, size_t bytes)
{
    unsigned char *again = room(bytes + 1);
    struct rng r = rng_at(test_seed(), bytes);
    struct error *err = &o->w.b.error;
    struct quantizer *loaded;
    memcpy(again, saved, bytes);
    for (size_t n = 0; n <= bytes + 1; n += n < 99 || n >= bytes - 9 ? 1 : n / 7)
        if (n != bytes)
            assert_code(quantizer_load(&loaded, &o->w.b.env, again, n), ERR_CORRUPT, err);
    for (size_t i = 0; i < 300; i++) {
        /* Numbers that are none, after kind and dimension; then any byte. */
        const size_t word = 16 + 8 * i;
        const bool whole = i < 100 && word + 8 <= bytes;
        memcpy(again, saved, bytes);
        if (whole)
            memset(again + word, 0xff, 8);
        else
            again[i < 140 ? i % bytes : rng_below(&r, bytes)] ^= (unsigned char)(1 + i % 255);
        const int rc = quantizer_load(&loaded, &o->w.b.env, again, bytes);
        const bool is_seed = word == 24 && o->options.kind >= QUANTIZER_RABITQ;
        assert_true(rc == ERR_CORRUPT || (rc == OK && (!whole || is_seed)));
        if (rc == OK)
            quantizer_destroy(&o->w.b.env, loaded);
        error_clear(err);
    }
    free(again);
}

static void test_save_and_load(void **state)
{
    struct one o;
    for (size_t number = 0; one_begin(&o, number); number++) {
        const size_t bytes = quantizer_save(o.q, NULL);
        unsigned char *saved = room(bytes), *again = room(bytes);
        struct quantizer *loaded;
        assert_int_equal(quantizer_save(o.q, saved), bytes);
        assert_ok(quantizer_load(&loaded, &o.w.b.env, saved, bytes), &o.w.b.error);
        assert_int_equal(quantizer_save(loaded, again), bytes);
        assert_memory_equal(saved, again, bytes);
        assert_true(loaded->kind == o.q->kind && loaded->dim == o.q->dim);
        assert_int_equal(loaded->block_bytes, o.q->block_bytes);
        assert_int_equal(quantizer_bytes(loaded), quantizer_bytes(o.q));
        struct list own = list_make(loaded, o.w.rows, ROWS, NULL);
        assert_memory_equal(own.codes, o.list.codes, o.q->block_bytes * (ROWS / 64));
        list_free(&own);
        quantizer_destroy(&o.w.b.env, loaded);
        load_damaged(&o, saved, bytes);
        free(saved);
        free(again);
        one_end(&o);
    }
}

static void test_refusals(void **state)
{
    static const float some[6];
    static const struct quantizer_options wrong[] = {
        { .kind = QUANTIZER_RABITQ, .bits = 0, .eps0 = 1.9 },
        { .kind = QUANTIZER_RABITQ, .bits = 10, .eps0 = 1.9 },
        { .kind = QUANTIZER_RABITQ, .bits = 1, .eps0 = 0 },
        { .kind = QUANTIZER_RABITQ, .bits = 1, .eps0 = NAN },
        { .kind = QUANTIZER_PLANES, .bits = 5, .eps0 = 1.9 },
        { .kind = QUANTIZER_PQ, .pq_bits = 4, .pq_groups = 7 },
        { .kind = QUANTIZER_PQ, .pq_bits = 5, .pq_groups = 2 },
        { .kind = QUANTIZER_ANISOTROPIC, .eta = 2 }, /* no centroids */
        { .kind = QUANTIZER_ANISOTROPIC,
          .eta = 2,
          .pq_bits = 8,
          .centroids = some,
          .n_centroids = 1 },
    };
    struct world w;
    struct quantizer *q;
    world_make(&w, 64, 6, 1, 0, .7, 8);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_code(quantizer_train(&q, &w.b.env, &wrong[i], w.rows, w.n), ERR_ARGUMENT,
                    &w.b.error);
    world_free(&w);
}

/* The anisotropic kind, which takes long to train, is scann's in the contract. */
static void test_no_memory(void **state)
{
    struct world w;
    world_make(&w, 64, 16, 1, 5, .7, 10);
    for (size_t kind = 0; kind < KINDS && kinds[kind].kind != QUANTIZER_ANISOTROPIC; kind++) {
        size_t at = 0;
        do {
            struct quantizer *q;
            test_fail_allocation(&w.b.mem, ++at, false);
            const int rc = quantizer_train(&q, &w.b.env, &kinds[kind], w.rows, w.n);
            if (rc == OK)
                quantizer_destroy(&w.b.env, q);
            else
                assert_code(rc, ERR_NO_MEMORY, &w.b.error);
            assert_int_equal(mem_live(&w.b.mem), 0);
        } while (test_allocations_succeed(&w.b.mem));
        assert_true(at > 2);
    }
    world_free(&w);
}

int main(void)
{
    return test_run_all("quantizer_kinds", test_copy, test_kernels_agree, test_save_and_load,
                        test_refusals, test_no_memory);
}
