/* test_asteria_buckets.c - buckets and generations by themselves: bounds hold all live rows after adding and removing and
 * are tight after writing anew; centres; addresses found, vacant buckets taken again, few and many address bits; what check()
 * is to find is planted, and found.
 */
#include "test_asteria.h"

/* --------------------------------------------------------------------------------- bounds */

struct bounds {
    float low[ECC_WORD_MAX], high[ECC_WORD_MAX];
    float cosine_min, cosine_max, near, far;
    uint64_t agree, value;
};

/* What bounds could be at best, of a bucket's live rows. */
static struct bounds tightest(const struct asteria_world *w, const struct generation *g,
                              const struct bucket *b)
{
    const struct index_env *env = &w->bench.env;
    struct bounds t = { .cosine_min = 2, .cosine_max = -2, .near = INFINITY, .agree = UINT64_MAX };
    _Alignas(64) float z[64];
    float p[ECC_WORD_MAX];
    bool any = false;

    for (size_t i = 0; i < g->model->m; i++)
        t.low[i] = INFINITY, t.high[i] = -INFINITY;
    for (uint32_t i = 0; i < b->n; i++) {
        if (!bucket_is_alive(b, i))
            continue;
        const float *unit = tier_resident(state_of(w)->tier, b->slots[i]);
        model_turn(g->model, env->kernels, unit, z);
        model_hash(g->model, env->kernels, z, p);
        for (size_t j = 0; j < g->model->m; j++) {
            t.low[j] = fminf(t.low[j], p[j]);
            t.high[j] = fmaxf(t.high[j], p[j]);
        }
        t.value = any ? t.value : ecc_word(g->model->ecc, p);
        any = true;
        t.agree &= ~(t.value ^ ecc_word(g->model->ecc, p));
        const float root = sqrtf(env->kernels->l2sq_f32(unit, b->centre, env->dim));
        t.near = fminf(t.near, root);
        t.far = fmaxf(t.far, root);
        t.cosine_min = fminf(t.cosine_min, bucket_cosine(g, b, p));
        t.cosine_max = fmaxf(t.cosine_max, bucket_cosine(g, b, p));
    }
    t.agree &= (1ULL << g->model->m) - 1;
    t.value &= t.agree;
    return t;
}

/* Not inside, and where they are to be tight no farther than rounding asks. */
static void expect_bounds(const struct asteria_world *w, const struct bucket *b, bool tight)
{
    const struct generation *g = state_of(w)->generations[state_of(w)->now];
    const struct bounds t = tightest(w, g, b);

    for (size_t i = 0; i < g->model->m; i++) {
        assert_true(b->low[i] <= t.low[i] && b->high[i] >= t.high[i]);
        assert_true(!tight || (b->low[i] >= t.low[i] - 1e-6F && b->high[i] <= t.high[i] + 1e-6F));
    }
    assert_int_equal(b->agree_mask & ~t.agree, 0);
    assert_int_equal(b->agree_value, t.value & b->agree_mask);
    assert_true(!tight || b->agree_mask == t.agree);
    assert_true(b->near <= t.near && b->far >= t.far);
    assert_true(!tight || (b->near >= t.near - 2e-5F && b->far <= t.far + 2e-5F));
    assert_true(b->angle_min <= acosf(fminf(t.cosine_max, 1)) &&
                b->angle_max >= acosf(fmaxf(t.cosine_min, -1)));
    /* A step of 2e-6 of a cosine is .002 of an angle near zero. */
    assert_true(!tight || (cosf(b->angle_min) <= t.cosine_max + 1e-5F &&
                           cosf(b->angle_max) >= t.cosine_min - 1e-5F));
}

static void expect_all(const struct asteria_world *w, bool tight)
{
    const struct generation *g = state_of(w)->generations[state_of(w)->now];

    for (size_t i = 0; i < g->n; i++)
        if (g->buckets[i].live > 0)
            expect_bounds(w, &g->buckets[i], tight);
}

static void bounds_of(const char *settings, size_t dim)
{
    struct asteria_world w;

    asteria_world_open(&w, settings, ELEMENT_F32, dim, 1000, 1);
    struct asteria *a = state_of(&w);
    asteria_world_train(&w, 0, 400);
    for (size_t i = 0; i < 500; i += 50)
        asteria_world_insert(&w, i, 50);
    expect_all(&w, true); /* nothing has died: only ever widened by rows that are there */
    asteria_world_remove(&w, 0, 500, 3);
    expect_all(&w, false);
    asteria_world_insert(&w, 500, 500);
    expect_all(&w, false);
    const struct generation *g = a->generations[a->now];
    for (uint32_t i = 0; i < g->n; i++) {
        const uint32_t live = g->buckets[i].live;

        assert_ok(bucket_rewrite(a, a->generations[a->now], i), &w.bench.error);
        assert_int_equal(g->buckets[i].n, live);
        assert_true(live == 0 || g->buckets[i].centred_n == live);
    }
    expect_all(&w, true);
    asteria_world_check(&w);
    asteria_world_close(&w);
}

static void test_bounds(void **state)
{
    (void)state;
    bounds_of("address_bits=3,caprg=false", 32);
    bounds_of("address_bits=1,centre=false", 5);
    bounds_of("code=none,address_bits=1,rotation=identity", 1);
    bounds_of("code=bch,rotation=random,address_bits=4,vantages=learned", 48);
}

/* -------------------------------------------------------------------------------- centres */

static double off_mean(const struct asteria_world *w, const struct bucket *b)
{
    double most = 0;

    for (size_t d = 0; d < w->dim; d++) {
        double sum = 0;

        for (uint32_t i = 0; i < b->n; i++)
            if (bucket_is_alive(b, i)) {
                const float *row = tier_resident(state_of(w)->tier, b->slots[i]);

                sum += row[d];
            }
        most = fmax(most, fabs(sum / b->live - (double)b->centre[d]));
    }
    return most;
}

/* Founded by the sample; the first rows' mean where these are more; the mean of all once it has doubled. */
static void test_centres(void **state)
{
    struct asteria_world w;
    size_t due = 0;

    (void)state;
    asteria_world_open(&w, "address_bits=2,caprg=false", ELEMENT_F32, 24, 2000, 1);
    struct asteria *a = state_of(&w);
    asteria_world_train(&w, 0, 200);
    const struct generation *g = a->generations[a->now];
    assert_true(g->n >= 2 && g->n <= 4);
    for (size_t i = 0; i < g->n; i++) {
        assert_int_equal(g->buckets[i].n, 0);
        assert_true(g->buckets[i].centred_n >= FOUNDED_ROWS);
        assert_memory_equal(g->centres + i * w.dim, g->buckets[i].centre, w.dim * sizeof(float));
    }
    asteria_world_insert(&w, 0, 1000);
    for (size_t i = 0; i < g->n; i++)
        if (g->buckets[i].n > 50)
            assert_true(off_mean(&w, &g->buckets[i]) < 1e-6);
    asteria_world_insert(&w, 1000, 1000);
    asteria_world_insert(&w, 0, 0);
    for (size_t i = 0; i < g->n; i++)
        due += bucket_is_due(&g->buckets[i]);
    assert_true(due > 0);
    (void)asteria_world_maintain(&w, 0);
    for (size_t i = 0; i < g->n; i++) {
        assert_false(bucket_is_due(&g->buckets[i]));
        assert_memory_equal(g->centres + i * w.dim, g->buckets[i].centre, w.dim * sizeof(float));
    }
    asteria_world_check(&w);
    asteria_world_close(&w);
}

/* ------------------------------------------------------------------------------- addresses */

static void addresses_of(const char *settings, bool sparse)
{
    struct asteria_world w;
    size_t vacant;

    asteria_world_open(&w, settings, ELEMENT_F32, 32, 800, 1);
    asteria_world_train(&w, 0, 400);
    const struct generation *g = state_of(&w)->generations[state_of(&w)->now];
    assert_int_equal(g->sparse != NULL, sparse);
    asteria_world_insert(&w, 0, 400);
    for (uint32_t i = 0; i < g->n; i++)
        assert_int_equal(generation_find(g, g->buckets[i].address), i);
    asteria_world_remove(&w, 0, 400, 1);
    (void)asteria_world_maintain(&w, 0);
    vacant = g->n_vacant;
    assert_true(vacant > 0);
    const size_t n = g->n;
    asteria_world_insert(&w, 400, 400);
    assert_true(g->n == n || g->n_vacant == 0);
    assert_true(g->n_vacant < vacant);
    asteria_world_check(&w);
    asteria_world_close(&w);
}

static void test_addresses(void **state)
{
    (void)state;
    addresses_of("code=none,address_bits=8,caprg=false", false);
    addresses_of("code=none,address_bits=20,caprg=false", true);
}

/* -------------------------------------------------------------------------------- check() */

static struct bucket *fullest(const struct asteria_world *w)
{
    const struct asteria *a = state_of(w);
    const struct generation *g = a->generations[a->now];
    struct bucket *most = &g->buckets[0];

    for (size_t i = 0; i < g->n; i++)
        most = g->buckets[i].live > most->live ? &g->buckets[i] : most;
    return most;
}

static void narrow_box(struct asteria *a, struct bucket *b)
{
    (void)a;
    b->high[0] = b->low[0] + (b->high[0] - b->low[0]) / 2;
}
static void narrow_ball(struct asteria *a, struct bucket *b)
{
    (void)a;
    b->far *= .9F;
}
static void narrow_angles(struct asteria *a, struct bucket *b)
{
    (void)a;
    b->angle_min += .5F * (b->angle_max - b->angle_min);
}
static void agree_on_all(struct asteria *a, struct bucket *b)
{
    b->agree_mask = (1ULL << a->generations[a->now]->model->m) - 1;
    b->agree_value = b->words[0];
}
static void turn_bit(struct asteria *a, struct bucket *b)
{
    (void)a;
    b->words[1] ^= 1;
}
static void other_slot(struct asteria *a, struct bucket *b)
{
    (void)a;
    b->slots[0] = b->slots[1];
}
static void other_place(struct asteria *a, struct bucket *b)
{
    a->places[b->slots[0]].position++;
}
static void one_alive_more(struct asteria *a, struct bucket *b)
{
    (void)a;
    b->live++;
}
static void one_row_more(struct asteria *a, struct bucket *b)
{
    (void)b;
    a->live++;
}
static void free_one_that_lives(struct asteria *a, struct bucket *b)
{
    a->free[0] = b->slots[0];
}
static void forget_a_free_one(struct asteria *a, struct bucket *b)
{
    (void)b;
    a->n_free--;
}
static void same_id(struct asteria *a, struct bucket *b)
{
    a->ids[b->slots[0]] = a->ids[b->slots[1]];
}
static void other_code(struct asteria *a, struct bucket *b)
{
    struct generation *g = a->generations[a->now];

    memcpy(stable_at(&g->codes, b->slots[0]), stable_at(&g->codes, b->slots[1]),
           g->model->lrsq->code_bytes);
}
static void other_address(struct asteria *a, struct bucket *b)
{
    (void)a;
    b->address ^= 1;
}

static void test_check_finds(void **state)
{
    static const struct {
        const char *name;
        void (*plant)(struct asteria *, struct bucket *);
    } bugs[] = {
        { "box", narrow_box },
        { "ball", narrow_ball },
        { "angles", narrow_angles },
        { "agree mask", agree_on_all },
        { "word", turn_bit },
        { "slot", other_slot },
        { "place", other_place },
        { "alive", one_alive_more },
        { "live", one_row_more },
        { "free", free_one_that_lives },
        { "lost slot", forget_a_free_one },
        { "id", same_id },
        { "short code", other_code },
        { "address", other_address },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        struct asteria_world w;

        asteria_world_open(&w, "address_bits=2,caprg=false", ELEMENT_F32, 24, 500, 1);
        struct asteria *a = state_of(&w);
        asteria_world_train(&w, 0, 200);
        asteria_world_insert(&w, 0, 500);
        asteria_world_remove(&w, 0, 500, 2);
        asteria_world_settle(&w);
        asteria_world_check(&w);
        assert_true(a->n_free > 0);
        bugs[i].plant(a, fullest(&w));
        const int rc = asteria_ops.check(w.index, NULL);
        if (rc != ERR_INVARIANT)
            fail_msg("check() finds no fault with a wrong %s", bugs[i].name);
        error_clear(&w.bench.error);
        asteria_world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_centres),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_check_finds),
    };
    return test_run("asteria buckets", tests);
}
