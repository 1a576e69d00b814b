/* world.c - opening a method, keeping the truth beside it, random operations. */
#include "tests/contract/world.h"

#include <sys/stat.h>

void world_fail(const struct world *w, const char *file, int line, const char *format, ...)
{
    char text[1400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "%s, %s, %s, dim %zu, %zu live rows, step %zu: %s\n", w->subject->name,
            index_element_name(w->space.element), index_metric_name(w->space.metric), w->dim, w->n,
            w->step, text);
    _fail(file, line);
    abort(); /* not reached: _fail() leaves the test */
}

void world_refused(struct world *w, int code, int rc, const char *call, const char *file, int line)
{
    struct error *e = &w->bench.error;
    if (rc != code || (code != OK && (e->code != code || !*e->text)))
        world_fail(w, file, line, "%s: expected %s, got %s: %s", call, error_name(code),
                   error_name(rc), e->text);
    error_clear(e);
}

/* ---- opening */

static void set_options(struct world *w, const struct param *table, void *out, const char *text)
{
    char copy[256], *rest = NULL;
    (void)snprintf(copy, sizeof copy, "%s", text);
    param_defaults(table, out);
    for (char *pair = strtok_r(copy, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(pair, '=');
        world_expect(w, value, "setting \"%s\" has no value", pair);
        *value++ = '\0';
        world_ok(w, param_set(table, out, pair,
                              (struct param_value){ .kind = VALUE_TEXT, .text = value },
                              w->ops->name, &w->bench.error));
    }
}

void world_begin(struct world *w, const struct subject *subject, struct index_space space,
                 size_t dim)
{
    memset(w, 0, sizeof *w);
    w->subject = subject;
    w->ops = subject->ops;
    w->flags = subject->setting.flags;
    if (w->flags & (NO_REMOVE | NO_RANGE | UNTRAINED)) {
        w->limited = *subject->ops;
        w->limited.remove = w->flags & NO_REMOVE ? NULL : w->limited.remove;
        w->limited.range = w->flags & NO_RANGE ? NULL : w->limited.range;
        w->limited.flags |= w->flags & UNTRAINED ? INDEX_NEEDS_TRAIN : 0;
        w->ops = &w->limited;
    }
    w->space = space;
    w->dim = dim;
    w->row_bytes = index_row_bytes(space.element, dim);
    w->rng =
        rng_at(test_seed(), rng_mix(dim, (uint64_t)space.element * 8 + (uint64_t)space.metric));
    test_bench_begin(&w->bench, space.element, space.metric, dim, 2);
    test_dir_make_in_memory(w->dir);
    world_expect(w, snprintf(w->state, sizeof w->state, "%.4000s/state", w->dir) > 0, "path");
    world_expect(w, snprintf(w->saved, sizeof w->saved, "%.4000s/saved", w->dir) > 0, "path");
    world_expect(w, mkdir(w->state, 0777) == 0 && mkdir(w->saved, 0777) == 0, "mkdir");
    w->bench.env.dir = w->state;
    w->shards = (struct shard_env){ .registry = subject->registry };
    w->bench.env.shards = &w->shards;
    w->params = calloc(1, w->ops->params_bytes + 1);
    w->knobs = calloc(1, w->ops->knobs_bytes + 1);
    world_expect(w, w->params && w->knobs, "memory");
    set_options(w, w->ops->params, w->params, subject->setting.params);
    set_options(w, w->ops->knobs, w->knobs, subject->setting.knobs);
}

bool world_is_sampled(const struct world *w, size_t half)
{
    const size_t dim = w->dim <= 1 ? 0 : w->dim <= 7 ? 1 : w->dim <= 32 ? 2 : 3;
    size_t space = 0;

    /* A sanitizer, and an interpreter, have few places already. */
    if (test_is_long() || TEST_IS_SANITIZED || (w->flags & PYTHON) || w->space.element == INDEX_B64)
        return true;
    while (w->ops->spaces[space].element != w->space.element ||
           w->ops->spaces[space].metric != w->space.metric)
        space++;
    return (space + dim + half) % 2 == 0;
}

bool world_is_first_metric(const struct world *w)
{
    const struct index_space *s = w->ops->spaces;

    while (s->element != w->space.element)
        s++;
    return s->metric == w->space.metric;
}

size_t world_next_fault(const struct world *w, size_t at)
{
    const bool first = w->space.element == w->ops->spaces->element;
    /* Codes cost little. */
    const size_t each = w->space.element == INDEX_B64 ? 240 : first ? 30 : 8;

    return test_is_long() ? at + 1 : at + 1 + at / each;
}

void world_end(struct world *w)
{
    index_close(&w->index);
    const size_t left = mem_live(&w->bench.mem);
    world_expect(w, left == 0, "%zu bytes are still allocated after destroy()", left);
    test_bench_end(&w->bench);
    test_dir_remove(w->dir);
    free(w->params);
    free(w->knobs);
    free(w->rows);
    free(w->ids);
}

/* In an empty folder, as index.h says: an index of this world that was closed may have
   left files. */
int world_open(struct world *w)
{
    test_dir_clear(w->state);
    return index_open(&w->index, w->ops, &w->bench.env, w->params);
}

static int train(struct world *w)
{
    const size_t n = 200;
    void *sample = world_rows(w, n);
    const int rc = w->ops->train ? index_train(&w->index, world_vectors(w, sample, n)) : OK;
    free(sample);
    return rc;
}

void world_train(struct world *w)
{
    world_ok(w, train(w));
}

void world_open_trained(struct world *w)
{
    world_ok(w, world_open(w));
    world_train(w);
}

void world_begin_with(struct world *w, size_t n)
{
    world_open_trained(w);
    world_insert(w, n);
}

void world_train_again(struct world *w)
{
    const int rc = train(w);
    world_expect(w, rc == OK || rc == ERR_ARGUMENT, "train: %s", w->bench.error.text);
    error_clear(&w->bench.error);
}

/* ---- the truth */

struct vectors world_vectors(const struct world *w, const void *rows, size_t n)
{
    return (struct vectors){ rows, n, w->dim, w->space.element };
}

void *world_rows(struct world *w, size_t n)
{
    void *rows = malloc(n * w->row_bytes + 1);
    world_expect(w, rows, "no memory");
    const size_t clusters = 1 + (size_t)rng_below(&w->rng, 12);
    switch (w->space.element) {
        case INDEX_F32:
            test_fill_f32(&w->rng, rows, n, w->dim, clusters, 0.3);
            if (w->space.metric == INDEX_COS)
                test_normalise_f32(rows, n, w->dim);
            break;
        case INDEX_U8: test_fill_u8(&w->rng, rows, n, w->dim, clusters, 0.3); break;
        case INDEX_B64: test_fill_b64(&w->rng, rows, n * w->dim / 64, clusters); break;
    }
    for (size_t i = 0; i < n && w->n > 0; i++)
        if (rng_below(&w->rng, 10) == 0)
            memcpy((char *)rows + i * w->row_bytes,
                   w->rows + rng_below(&w->rng, w->n) * w->row_bytes, w->row_bytes);
    return rows;
}

uint64_t world_new_id(struct world *w)
{
    if (w->n_retired > 0 && rng_below(&w->rng, 4) == 0)
        return w->retired[--w->n_retired];
    /* Mostly in order, as the harness gives them, and some with high bits. */
    const uint64_t id = w->next_id++;
    return rng_below(&w->rng, 50) == 0 ? id + (UINT64_C(1) << 40) : id;
}

void world_note_inserted(struct world *w, const void *rows, const uint64_t *ids, size_t n)
{
    if (w->n + n > w->capacity) {
        w->capacity = 2 * (w->n + n);
        w->rows = realloc(w->rows, w->capacity * w->row_bytes);
        w->ids = realloc(w->ids, w->capacity * sizeof *w->ids);
        world_expect(w, w->rows && w->ids, "no memory");
    }
    if (n == 0)
        return;
    memcpy(w->rows + w->n * w->row_bytes, rows, n * w->row_bytes);
    memcpy(w->ids + w->n, ids, n * sizeof *ids);
    w->n += n;
}

static size_t position_of(const struct world *w, uint64_t id)
{
    size_t at = 0;
    while (at < w->n && w->ids[at] != id)
        at++;
    return at;
}

void world_note_removed(struct world *w, uint64_t id)
{
    const size_t at = position_of(w, id);
    world_expect(w, at < w->n, "the test deletes an id it has not");
    w->n--;
    memmove(w->rows + at * w->row_bytes, w->rows + w->n * w->row_bytes, w->row_bytes);
    w->ids[at] = w->ids[w->n];
    if (w->n_retired < sizeof w->retired / sizeof *w->retired)
        w->retired[w->n_retired++] = id;
}

struct past world_past(const struct world *w)
{
    struct past p = { .n = w->n, .n_retired = w->n_retired };
    p.rows = malloc(w->n * w->row_bytes + 1);
    p.ids = calloc(w->n + 1, sizeof *p.ids);
    world_expect(w, p.rows && p.ids, "no memory");
    memcpy(p.retired, w->retired, sizeof p.retired);
    if (w->n > 0) {
        memcpy(p.rows, w->rows, w->n * w->row_bytes);
        memcpy(p.ids, w->ids, w->n * sizeof *p.ids);
    }
    return p;
}

void world_swap(struct world *w, struct past *p)
{
    const struct past was = world_past(w);
    w->n = w->n_retired = 0;
    world_note_inserted(w, p->rows, p->ids, p->n);
    w->n_retired = p->n_retired;
    memcpy(w->retired, p->retired, sizeof w->retired);
    world_forget(p);
    *p = was;
}

void world_forget(struct past *p)
{
    free(p->rows);
    free(p->ids);
    *p = (struct past){ 0 };
}

/* ---- random changes */

void world_insert(struct world *w, size_t n)
{
    void *rows = world_rows(w, n);
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    world_expect(w, ids, "no memory");
    for (size_t i = 0; i < n; i++)
        ids[i] = world_new_id(w);
    size_t done = SIZE_MAX;
    world_ok(w, index_insert(&w->index, world_vectors(w, rows, n), ids, &done));
    world_expect(w, done == n, "insert did %zu of %zu", done, n);
    world_note_inserted(w, rows, ids, n);
    free(rows);
    free(ids);
}

void world_remove(struct world *w, size_t n)
{
    if (!w->ops->remove)
        return;
    n = n < w->n ? n : w->n;
    uint64_t *at = calloc(n + 1, sizeof *at), *ids = calloc(n + 1, sizeof *ids);
    world_expect(w, at && ids, "no memory");
    rng_sample(&w->rng, w->n, n, at);
    for (size_t i = 0; i < n; i++)
        ids[i] = w->ids[at[i]];
    size_t done = SIZE_MAX;
    world_ok(w, index_remove(&w->index, ids, n, &done));
    world_expect(w, done == n, "remove did %zu of %zu", done, n);
    for (size_t i = 0; i < n; i++)
        world_note_removed(w, ids[i]);
    free(at);
    free(ids);
}

void world_check(struct world *w)
{
    world_ok(w, index_check(&w->index, NULL));
    world_expect(w, w->index.live.n == w->n, "%zu live ids, expected %zu", w->index.live.n, w->n);
}

void world_other_folder(struct world *w)
{
    char fresh[PATH_MAX];
    world_expect(w, snprintf(fresh, sizeof fresh, "%.4000s/state-%zu", w->dir, w->folders++) > 0,
                 "path");
    world_expect(w, mkdir(fresh, 0777) == 0, "mkdir %s", fresh);
    strcpy(w->state, fresh);
}

bool world_maintain(struct world *w, uint64_t budget)
{
    bool more = false;
    if (w->ops->maintain)
        world_ok(w, index_maintain(&w->index, budget, &more));
    return more;
}

bool world_reload(struct world *w)
{
    if (!w->ops->save || !w->ops->load)
        return false;
    world_ok(w, index_save(&w->index, w->saved));
    struct checked loaded;
    world_other_folder(w);
    world_ok(w, index_open_saved(&loaded, w->ops, &w->bench.env, w->saved, &w->index));
    index_close(&w->index);
    w->index = loaded;
    return true;
}

/* ---- transactions */

void world_search_past(struct world *w, struct past *before, size_t k)
{
    world_swap(w, before);
    world_search(w, 2, k, NULL, 1 + rng_below(&w->rng, 2));
    world_search(w, 1, w->n + 2, NULL, 1);
    world_swap(w, before);
}

void world_rollback(struct world *w, struct past *before)
{
    world_ok(w, index_rollback(&w->index));
    struct past undone = world_past(w);
    world_swap(w, before);
    /* Some of the ids that are gone again are free to be used. */
    for (size_t i = 0; i < undone.n && w->n_retired < 64; i++) {
        bool taken = idmap_get(&w->index.live, undone.ids[i], NULL);
        for (size_t j = 0; j < w->n_retired; j++)
            taken |= w->retired[j] == undone.ids[i];
        if (!taken && rng_below(&w->rng, 2))
            w->retired[w->n_retired++] = undone.ids[i];
    }
    world_forget(&undone);
}
