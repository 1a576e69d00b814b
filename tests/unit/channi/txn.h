/* txn.h - transactions, a reference list of their result, and the settings under test. */
#ifndef TEST_CHANNI_TXN_H
#define TEST_CHANNI_TXN_H

#include "tests/unit/channi/support.h"

/* ----------------------------------------------------------------------------------- model */

/* The content that must be stored at one moment; b->rows and b->stored are of the last commit. */
struct moment {
    uint64_t version;
    unsigned char *rows;
    bool *stored;
    size_t n;
};

static inline struct moment moment_of(const struct book *b, uint64_t version)
{
    struct moment m = { .version = version, .n = b->n };

    m.rows = malloc(b->capacity * b->row_bytes);
    m.stored = malloc(b->capacity * sizeof *m.stored);
    assert_true(m.rows && m.stored);
    memcpy(m.rows, b->rows, b->capacity * b->row_bytes);
    memcpy(m.stored, b->stored, b->capacity * sizeof *m.stored);
    return m;
}

static inline void moment_free(struct moment *m)
{
    free(m->rows);
    free(m->stored);
    *m = (struct moment){ 0 };
}

/* Makes the moment the book's content. */
static inline void become(struct book *b, const struct moment *m)
{
    memcpy(b->rows, m->rows, b->capacity * b->row_bytes);
    memcpy(b->stored, m->stored, b->capacity * sizeof *m->stored);
    b->n = m->n;
}

/* Searches as of the moment's version must return its content. */
static inline void expect_moment(struct book *b, const struct moment *m, size_t queries)
{
    unsigned char *rows = b->rows;

    b->rows = m->rows;
    for (size_t i = 0; i < queries; i++)
        book_expect_at(b, m->version, m->stored, book_row(b, rng_below(&b->rng, b->capacity)), 10);
    b->rows = rows;
}

static inline void new_row(struct book *b, struct moment *m, uint64_t id)
{
    unsigned char *row = m->rows + id * b->row_bytes;

    if (b->bench.env.element == INDEX_U8)
        test_fill_u8(&b->rng, row, 1, b->dim, 0, 1);
    else
        test_fill_f32(&b->rng, (float *)(void *)row, 1, b->dim, 0, 1);
}

static inline uint64_t pick(struct book *b, const struct moment *m, bool stored)
{
    uint64_t id = rng_below(&b->rng, b->capacity);

    while (m->stored[id] != stored)
        id = (id + 1) % b->capacity;
    return id;
}

static inline int put(struct book *b, struct moment *m, uint64_t id)
{
    size_t done = 0;

    new_row(b, m, id);
    const struct vectors row = { m->rows + id * b->row_bytes, 1, b->dim, b->bench.env.element };
    const int rc = channi_ops.insert(b->index, row, &id, &done);
    if (rc == OK) {
        m->stored[id] = true;
        m->n++;
    }
    return rc;
}

static inline int del(struct book *b, struct moment *m, uint64_t id)
{
    size_t done = 0;
    const int rc = channi_ops.remove(b->index, &id, 1, &done);

    if (rc == OK) {
        m->stored[id] = false;
        m->n--;
    }
    return rc;
}

/* Makes one to `most` changes in the open transaction: insertions, deletions, replacements, also
   several of one id. `recent`: ids just changed. */
static inline void change_some(struct book *b, struct moment *m, size_t most)
{
    uint64_t recent = pick(b, m, false);

    for (size_t i = 1 + rng_below(&b->rng, most); i > 0; i--) {
        const bool again = rng_below(&b->rng, 3) == 0, room = m->n < b->capacity * 3 / 4;
        const bool dies = m->n > 0 && (!room || rng_below(&b->rng, 5) == 0);
        const uint64_t id = again                   ? recent
                            : dies || !room         ? pick(b, m, true)
                            : rng_below(&b->rng, 4) ? pick(b, m, false)
                                                    : pick(b, m, m->n > 0);
        if (m->stored[id])
            assert_ok(del(b, m, id), &b->bench.error);
        else
            assert_ok(put(b, m, id), &b->bench.error);
        if (!dies && !again && !m->stored[id]) /* an update */
            assert_ok(put(b, m, id), &b->bench.error);
        recent = id;
    }
}

static inline void begin(struct book *b)
{
    assert_ok(channi_ops.txn->begin(b->index), &b->bench.error);
}

static inline uint64_t commit(struct book *b, const struct moment *m)
{
    uint64_t version = 0;
    const uint64_t before = book_version(b);

    assert_ok(channi_ops.txn->commit(b->index, &version), &b->bench.error);
    assert_true(version == before || version == before + 1);
    assert_int_equal(version, book_version(b));
    become(b, m);
    return version;
}

/* Commits a transaction with `n` new rows. */
static inline void add_rows(struct book *b, size_t n)
{
    struct moment m = moment_of(b, 0);

    begin(b);
    for (size_t i = 0; i < n; i++)
        assert_ok(put(b, &m, pick(b, &m, false)), &b->bench.error);
    (void)commit(b, &m);
    moment_free(&m);
}

/* --------------------------------------------------------------------------------- settings */

enum { IDS = 400, DIM = 6 };

struct world {
    const char *name;
    enum element element;
    bool built; /* built soon; else deferred for ever */
    int64_t history, maintenance;
};

static const struct world worlds[] = {
    { "deferred", INDEX_F32, false, 0, CHANNI_INLINE },
    { "deferred, bytes, history", INDEX_U8, false, 6, CHANNI_INLINE },
    { "built", INDEX_F32, true, 0, CHANNI_INLINE },
    { "built, bytes, history", INDEX_U8, true, 6, CHANNI_INLINE },
    { "built, explicit", INDEX_F32, true, 3, CHANNI_EXPLICIT },
    { "built, background", INDEX_F32, true, 4, CHANNI_BACKGROUND },
};

static inline void open_world(struct book *b, const struct world *w, size_t threads)
{
    struct channi_params params = book_defaults();

    params.expected_n = w->built ? 40 : 1 << 20;
    params.history = w->history;
    params.maintenance = w->maintenance;
    print_message("           %s\n", w->name);
    book_open(b, params, w->element, DIM, IDS, threads);
}

#define FOR_WORLDS(w) \
    for (const struct world *w = worlds; w < worlds + sizeof worlds / sizeof *worlds; w++)

#endif
