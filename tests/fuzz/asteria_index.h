/* asteria_index.h - the small Asteria indexes that fuzz_asteria_snapshot.c edits: their kinds,
 * their states, and their files. */
#ifndef DRIFTLINE_TESTS_FUZZ_ASTERIA_INDEX_H
#define DRIFTLINE_TESTS_FUZZ_ASTERIA_INDEX_H

#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/common/durable/wal.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/param.h"
#include "src/core/rng.h"

enum { DIM = 12, ROWS = 160, IDS = 2 * ROWS, K = 5, EDITS_MAX = 24, LONGER = 64 };
enum { LIMIT = 64 << 20, FILE_VERSION = 9 };

/* An id that no edit produces, as insert() must not be given a stored id. */
#define FRESH UINT64_C(0x0123456789abcd00)

/* The states of an index. */
enum age { UNTRAINED, FULL, WORN, HALFWAY };

static const struct kind {
    enum element element;
    enum age age;
    const char *options;
} kinds[] = {
    { INDEX_F32, HALFWAY, "code=hamming,address_bits=4" },
    { INDEX_U8, WORN, "code=hamming,address_bits=3,caprg=false" },
    { INDEX_F32, WORN, "rotation=pca,code=none,address_bits=6,vantages=learned,scan_dims=3" },
    { INDEX_F32, UNTRAINED, "wal=written" },
    { INDEX_U8, WORN, "code=none,address_bits=18,storage=tiered,cache_mb=0,wal=written" },
    { INDEX_F32, HALFWAY, "code=bch,address_bits=3,lrsq_pca=false,r=4,wal=written" },
    { INDEX_F32, FULL,
      "rotation=opq,code=hamming,address_bits=5,link_policy=insert,centering=false" },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct edit {
    uint8_t what, section;
    uint16_t at;
    uint32_t value;
};

struct fuzz {
    const struct kind *kind;
    struct mem mem;
    struct error error;
    struct pool *pool;
    struct index_env env;
    char dir[PATH_MAX];
    unsigned char rows[ROWS * DIM * sizeof(float)];
    struct asteria *a;
    struct edit edits[EDITS_MAX];
    size_t n_edits;
};

/* Built on first use, and kept. */
struct base {
    struct store_reader r;
    bool made;
};
static struct base bases[KINDS];

#define EXPECT(f, holds)                                                               \
    do {                                                                               \
        if (!(holds)) {                                                                \
            fprintf(stderr, "kind %zu: %s: %s\n", (size_t)((f)->kind - kinds), #holds, \
                    (f)->error.text);                                                  \
            abort();                                                                   \
        }                                                                              \
    } while (0)

static inline bool runs(const struct fuzz *f)
{
    return strstr(f->kind->options, "wal=") != NULL;
}

static inline const char *file_of(const struct fuzz *f)
{
    return runs(f) ? "asteria.snapshot" : "asteria.index";
}

static inline struct store_identity identity_of(const struct fuzz *f)
{
    return store_identity_of(&f->env, "asteria", FILE_VERSION);
}

static inline struct vectors rows_from(const struct fuzz *f, size_t first, size_t n)
{
    return (struct vectors){ f->rows + first * index_row_bytes(f->env.element, DIM), n, DIM,
                             f->env.element };
}

static inline void fill_rows(struct fuzz *f)
{
    struct rng r = rng_at(1, 7);
    float centres[9][DIM];

    for (size_t i = 0; i < 9 * DIM; i++)
        centres[i / DIM][i % DIM] = (float)rng_normal(&r);
    for (size_t i = 0; i < ROWS; i++) {
        const float *centre = centres[rng_below(&r, 9)];
        float row[DIM], sum = 0;

        for (size_t j = 0; j < DIM; j++) {
            row[j] = centre[j] + .3F * (float)rng_normal(&r);
            sum += row[j] * row[j];
        }
        for (size_t j = 0; j < DIM; j++) {
            const float unit = row[j] / sqrtf(sum);

            if (f->env.element == INDEX_U8)
                f->rows[i * DIM + j] = (unsigned char)(128 + 100 * unit);
            else
                memcpy(f->rows + (i * DIM + j) * sizeof unit, &unit, sizeof unit);
        }
    }
}

static inline void make_folder(char dir[PATH_MAX])
{
    const char *memory = getenv("DRIFTLINE_TEST_MEMORY"), *tmp = getenv("TMPDIR");

    (void)snprintf(dir, PATH_MAX, "%s/driftline-fuzz-XXXXXX",
                   memory && *memory ? memory
                   : tmp && *tmp     ? tmp
                                     : "/tmp");
    if (!mkdtemp(dir))
        abort();
}

static inline void remove_folder(const char *dir)
{
    char path[PATH_MAX];
    DIR *d = opendir(dir);

    for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && snprintf(path, sizeof path, "%s/%s", dir, e->d_name) > 0)
            (void)unlink(path);
    if (d)
        (void)closedir(d);
    (void)rmdir(dir);
}

static inline void begin(struct fuzz *f, const struct kind *kind)
{
    memset(f, 0, sizeof *f);
    f->kind = kind;
    f->mem.limit_bytes = LIMIT;
    f->pool = pool_create(1);
    if (!f->pool)
        abort();
    make_folder(f->dir);
    f->env = (struct index_env){ .dim = DIM,
                                 .element = kind->element,
                                 .metric = INDEX_COS,
                                 .seed = 3,
                                 .k_hint = 10,
                                 .mem = &f->mem,
                                 .pool = f->pool,
                                 .kernels = kernels_select(ISA_AVX512),
                                 .dir = f->dir,
                                 .error = &f->error,
                                 .device = "cpu" };
    fill_rows(f);
}

static inline void end(struct fuzz *f)
{
    if (f->a)
        asteria_ops.destroy(&f->a->base);
    EXPECT(f, mem_live(&f->mem) == 0);
    pool_destroy(f->pool);
    remove_folder(f->dir);
}

static inline void set_options(struct fuzz *f, struct asteria_params *p)
{
    char copy[256], *rest = NULL;

    memset(p, 0, sizeof *p);
    param_defaults(asteria_ops.params, p);
    p->caprg = true;
    p->train_steps = 3;
    p->batch = 32;
    p->degree = 5;
    p->pool = 24;
    p->leaf_cap = 24;
    p->lrsq_block = 4;
    (void)snprintf(copy, sizeof copy, "%s", f->kind->options);
    for (char *pair = strtok_r(copy, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(pair, '=');

        *value++ = '\0';
        EXPECT(f, param_set(asteria_ops.params, p, pair,
                            (struct param_value){ .kind = VALUE_TEXT, .text = value }, "fuzz",
                            &f->error) == OK);
    }
}

static inline int apply(struct fuzz *f, bool insert, size_t first, size_t n, uint64_t id)
{
    uint64_t ids[ROWS];
    size_t done;

    for (size_t i = 0; i < n; i++)
        ids[i] = id + i;
    return insert ? asteria_ops.insert(&f->a->base, rows_from(f, first, n), ids, &done)
                  : asteria_ops.remove(&f->a->base, ids, n, &done);
}

static inline void grow(struct fuzz *f)
{
    struct index *index = &f->a->base;
    bool more;

    if (f->kind->age == UNTRAINED)
        return;
    EXPECT(f, asteria_ops.train(index, rows_from(f, 0, 100)) == OK);
    EXPECT(f, apply(f, true, 0, 120, 0) == OK);
    EXPECT(f, asteria_maintain(index, 0, &more) == OK);
    if (f->kind->age == FULL)
        return;
    EXPECT(f, apply(f, false, 0, 50, 20) == OK);
    EXPECT(f, asteria_maintain(index, 70, &more) == OK);
    EXPECT(f, apply(f, true, 120, 30, 120) == OK);
    EXPECT(f, apply(f, false, 0, 10, 100) == OK);
    if (f->kind->age == WORN)
        return;
    EXPECT(f, asteria_ops.train(index, rows_from(f, 50, 100)) == OK);
    while (f->a->generations[f->a->now]->live == 0)
        EXPECT(f, asteria_maintain(index, 10, &more) == OK);
    EXPECT(f, apply(f, false, 0, 3, 0) == OK);
    EXPECT(f, f->a->generations[!f->a->now] && f->a->generations[!f->a->now]->live > 0);
}

static const struct base *base_of(const struct kind *kind)
{
    static struct fuzz f;
    struct base *b = &bases[kind - kinds];
    struct asteria_params params;
    struct index *index = NULL;

    if (b->made)
        return b;
    begin(&f, kind);
    set_options(&f, &params);
    EXPECT(&f, asteria_ops.create(&index, &f.env, &params) == OK);
    f.a = asteria_of(index);
    grow(&f);
    EXPECT(&f, asteria_check(index, NULL) == OK);
    EXPECT(&f, asteria_ops.save(index, f.dir) == OK);
    const struct store_identity identity = identity_of(&f);
    EXPECT(&f, store_open(&b->r, f.dir, file_of(&f), &identity, &f.error) ==
                   OK); /* the mapping outlives the file */
    b->made = true;
    end(&f);
    return b;
}

#endif
