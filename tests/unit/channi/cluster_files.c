/* cluster_files.c - cluster files for tests. */
#include "tests/unit/channi/cluster_files.h"

static void log_line(void *to, const char *line)
{
    struct files_fixture *f = to;

    (void)snprintf(f->logged, sizeof f->logged, "%s", line);
    f->n_logged++;
}

void files_begin(struct files_fixture *f, enum element element, size_t dim)
{
    memset(f, 0, sizeof *f);
    test_bench_begin(&f->bench, element, INDEX_L2SQ, dim, 1);
    test_dir_make(f->dir);
    f->bench.env.dir = f->dir;
    f->bench.env.n_attributes = FILE_FIELDS;
    f->bench.env.log = log_line;
    f->bench.env.log_to = f;
    f->epoch = epoch_create(&f->bench.mem);
    assert_non_null(f->epoch);
}

void files_end(struct files_fixture *f)
{
    epoch_destroy(f->epoch);
    assert_int_equal(mem_live(&f->bench.mem), 0);
    test_dir_remove(f->dir);
    test_bench_end(&f->bench);
}

static void *filled(struct rng *r, size_t bytes)
{
    unsigned char *block = malloc(bytes + 1);

    assert_non_null(block);
    for (size_t i = 0; i < bytes; i++)
        block[i] = (unsigned char)rng_below(r, 256);
    return block;
}

static void make_graph(struct filed *d, struct files_fixture *f, uint32_t n)
{
    const struct graph_options options = {
        .kind = GRAPH_HNSW, .degree = 8, .build_ef = 20, .insert_ef = 20, .rng_factor = 1, .seed = 3
    };

    assert_ok(graph_create(&d->graph, &f->bench.env, f->epoch, &options), &f->bench.error);
    assert_ok(graph_build(d->graph, (struct vectors){ .rows = d->rows,
                                                      .n = n,
                                                      .dim = f->bench.env.dim,
                                                      .element = f->bench.env.element }),
              &f->bench.error);
}

void filed_make(struct filed *d, struct files_fixture *f, unsigned with, uint64_t phash, uint32_t n)
{
    const size_t dim = f->bench.env.dim;
    struct rng r = rng_at(test_seed(), phash);
    struct channi_cluster_contents *c = &d->contents;

    memset(d, 0, sizeof *d);
    d->rows = malloc(n * index_row_bytes(f->bench.env.element, dim) + 1);
    assert_non_null(d->rows);
    if (f->bench.env.element == INDEX_U8)
        test_fill_u8(&r, d->rows, n, dim, 3, .5);
    else
        test_fill_f32(&r, (float *)(void *)d->rows, n, dim, 3, .5);
    d->ids = filled(&r, n * sizeof *d->ids);
    *c = (struct channi_cluster_contents){ .phash = phash,
                                           .version = phash * 7 + 1,
                                           .n = n,
                                           .root = n > 0 ? (uint32_t)rng_below(&r, n) : 0,
                                           .ids = d->ids,
                                           .rows = d->rows };
    if (with & WITH_GRAPH) {
        make_graph(d, f, n);
        c->graph = d->graph;
    }
    if (with & WITH_CODES) {
        c->codes = d->codes = filled(&r, c->codes_bytes = n * 20);
        c->centre = d->centre = filled(&r, c->centre_bytes = dim * sizeof(float));
        c->code_error = .25F;
    }
    c->cold_rows = with & WITH_COLD;
    if (with & WITH_HISTORY) {
        c->born = d->born = filled(&r, n * sizeof *d->born);
        c->dead = d->dead = filled(&r, n * sizeof *d->dead);
        for (uint32_t i = 0; i < n; i++)
            d->dead[i] = i % 3 ? 0 : (d->born[i] >>= 8, d->born[i] + d->dead[i] % 100);
    }
    if (with & WITH_ATTRIBUTES) {
        c->attributes = d->attributes = filled(&r, n * FILE_FIELDS * sizeof *d->attributes);
        for (uint32_t i = 0; i < n * FILE_FIELDS; i += 5)
            d->attributes[i] = INDEX_ATTRIBUTE_NONE;
    }
}

void filed_free(struct filed *d, struct files_fixture *f)
{
    graph_destroy(d->graph);
    free(d->rows);
    free(d->ids);
    free(d->born);
    free(d->dead);
    free(d->codes);
    free(d->centre);
    free(d->attributes);
}

void filed_write(struct files_fixture *f, const struct filed *d, struct channi_base *base)
{
    struct channi_cluster_block block;

    assert_ok(channi_cluster_block_make(&f->bench.env, &d->contents, &block), &f->bench.error);
    assert_ok(channi_cluster_block_write(&f->bench.env, &d->contents, &block, false, NULL),
              &f->bench.error);
    assert_ok(channi_cluster_file_head(&f->bench.env, d->contents.phash, d->contents.version, base),
              &f->bench.error);
    mem_free(&f->bench.mem, block.bytes);
}

static void assert_part(const void *found, const void *written, size_t bytes)
{
    assert_true(!found == !written);
    if (written && bytes > 0)
        assert_memory_equal(found, written, bytes);
}

void assert_image(const struct channi_image *image, const struct filed *d,
                  const struct files_fixture *f, bool rows)
{
    const struct channi_cluster_contents *c = &d->contents;
    const size_t n = c->n;

    assert_int_equal(image->n, n);
    assert_int_equal(image->root, c->root);
    assert_part(image->ids, c->ids, n * sizeof *c->ids);
    assert_part(image->born, c->born, n * sizeof *c->born);
    assert_part(image->dead, c->dead, n * sizeof *c->dead);
    assert_part(image->attributes, c->attributes, n * FILE_FIELDS * sizeof *c->attributes);
    assert_part(image->codes, c->codes, c->codes_bytes);
    assert_part(image->centre, c->centre, c->centre_bytes);
    assert_part(image->rows, rows || n == 0 ? c->rows : NULL,
                n * index_row_bytes(f->bench.env.element, f->bench.env.dim));
    assert_true(image->code_error == c->code_error);
    assert_true(image->has_graph == (c->graph != NULL));
    if (c->graph)
        assert_int_equal(image->graph.n, n);
}

int fault_before(void *to, const char *call)
{
    struct fault_plan *p = to;

    if (!p->call || strcmp(call, p->call) != 0)
        return 0;
    const int seen = atomic_fetch_add(&p->seen, 1) + 1;
    return seen == p->at ? p->error : 0;
}

/* ---- a shelf */

void shelf_path(const struct shelf *s, size_t file, char path[PATH_MAX])
{
    const struct channi_base *b = s->bases + file;

    assert_int_equal(channi_cluster_file_path(&s->f.bench.env, b->phash, b->version, path), OK);
}

void shelf_begin(struct shelf *s, unsigned with, struct channi_cache_options options)
{
    memset(s, 0, sizeof *s);
    files_begin(&s->f, INDEX_F32, SHELF_DIM);
    s->fault = (struct file_fault){ .before = fault_before, .to = &s->plan };
    s->with = with;
    options.fault = &s->fault;
    assert_ok(channi_cache_create(&s->cache, &s->f.bench.env, &options), &s->f.bench.error);
    s->fetch = channi_fetch_create(s->cache);
    assert_non_null(s->fetch);
    for (uint32_t i = 0; i < FILES; i++) {
        struct channi_base *base = s->list[i] = s->bases + i;

        filed_make(&s->filed[i], &s->f, with, i + 1, 20 + i * 7);
        filed_write(&s->f, &s->filed[i], base);
        assert_ok(channi_cache_join(s->cache, base, NULL), &s->f.bench.error);
        s->hot_bytes += base->hot_bytes;
        s->largest = base->hot_bytes > s->largest ? base->hot_bytes : s->largest;
    }
}

void shelf_end(struct shelf *s)
{
    channi_fetch_destroy(s->fetch);
    assert_ok(channi_cache_check(s->cache), &s->f.bench.error);
    channi_cache_destroy(s->cache);
    for (size_t i = 0; i < FILES; i++)
        filed_free(&s->filed[i], &s->f);
    files_end(&s->f);
}

struct channi_cache_counts counts_of(const struct shelf *s)
{
    struct channi_cache_counts c;

    channi_cache_counts(s->cache, &c);
    return c;
}

void take_all(struct shelf *s, const size_t *which, size_t n)
{
    bool came[FILES * 2] = { false };
    const struct channi_image *image;
    size_t i, taken = 0;
    int rc;

    for (; channi_fetch_next(s->fetch, &i, &image, &rc); taken++) {
        assert_ok(rc, &s->f.bench.error);
        assert_true(i < n && !came[i]);
        came[i] = true;
        assert_image(image, &s->filed[which[i]], &s->f, !(s->with & WITH_COLD));
    }
    assert_int_equal(taken, n);
}

void take_run(struct shelf *s, size_t first, size_t n)
{
    assert_ok(channi_fetch_ask(s->fetch, s->list + first, n), &s->f.bench.error);
    take_all(s, in_order + first, n);
    channi_fetch_done(s->fetch);
}

const size_t in_order[FILES] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23 };

const struct channi_cache_options ways[WAYS] = {
    { .budget_bytes = SIZE_MAX },
    { .budget_bytes = SIZE_MAX, .io = CACHE_IO_PREAD },
    { .budget_bytes = SIZE_MAX, .direct = true },
    { .budget_bytes = SIZE_MAX, .io = CACHE_IO_PREAD, .direct = true },
};

void make_cold(struct shelf *s)
{
    for (size_t i = 0; i < FILES; i++) {
        char path[PATH_MAX];
        int fd;

        shelf_path(s, i, path);
        fd = open(path, O_RDONLY);
        assert_true(fd >= 0);
        (void)fsync(fd);
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)close(fd);
    }
}
