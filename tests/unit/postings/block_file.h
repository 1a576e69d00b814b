/* block_file.h - the block file in all its modes. */
#ifndef DRIFTLINE_TESTS_UNIT_POSTINGS_BLOCK_FILE_H
#define DRIFTLINE_TESTS_UNIT_POSTINGS_BLOCK_FILE_H

#include <sys/stat.h>

#include "algorithms/common/io/read_queue.h"
#include "tests/unit/postings/histories.h"

/* The modes with io_uring are skipped where the system refuses it. */
static const struct mode {
    const char *name;
    struct posting_options options;
} modes[] = {
    { "mmap", { .kind = POSTING_MMAP } },
    { "preads", { .kind = POSTING_FILE, .io = POSTING_IO_PREAD } },
    { "preads, direct", { .kind = POSTING_FILE, .io = POSTING_IO_PREAD, .direct = true } },
    { "io_uring", { .kind = POSTING_FILE, .io = POSTING_IO_URING } },
    { "io_uring, direct", { .kind = POSTING_FILE, .io = POSTING_IO_URING, .direct = true } },
    { "auto", { .kind = POSTING_FILE } },
    { "auto, direct", { .kind = POSTING_FILE, .direct = true } },
};
enum { N_MODES = sizeof modes / sizeof *modes };

static inline bool uring_is_usable(void)
{
    const char *why = "";

    return read_queue_uring_usable(&why);
}

static inline bool available(struct postings_bench *b, const struct posting_options *options)
{
    const int rc = posting_store_open(&b->store, &b->bench.env, b->epoch, options, NULL);

    if (rc == ERR_UNSUPPORTED && options->io == POSTING_IO_URING) {
        error_clear(&b->bench.error);
        return false;
    }
    assert_ok(rc, &b->bench.error);
    posting_store_close(b->store);
    b->store = NULL;
    return true;
}

#define FOR_EACH_MODE(b, m)                                                              \
    for (const struct mode *m = modes; m < modes + N_MODES; m++)                         \
        for (bool once = (postings_begin(b), true); once; once = false, postings_end(b)) \
            if (available(b, &m->options))

/* Postings of 2.5 pages, laid out one after another. */
static inline void fill_even(struct postings_bench *b, size_t bytes_each)
{
    struct rng r = rng_at(test_seed(), 3);
    unsigned char *bytes = malloc(bytes_each);

    assert_non_null(bytes);
    for (uint32_t p = 0; p < MODEL_POSTINGS; p++) {
        random_bytes(&r, bytes, bytes_each);
        assert_ok(posting_splice(b->store, p, 0, bytes, bytes_each), &b->bench.error);
        model_splice(&b->model, p, 0, bytes, bytes_each);
    }
    free(bytes);
}

#endif
