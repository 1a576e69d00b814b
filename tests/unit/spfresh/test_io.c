/* test_io.c - every combination of store, io, direct and wal either does what it says, and stats()
 * reports it, or is refused when the index is created. */
#include "algorithms/common/io/read_queue.h"
#include "tests/support/index_folder.h"
#include "tests/unit/spfresh/support.h"

enum { ROWS = 300, FIRST = 200 };

static const char *const stores[] = { "memory", "mmap", "file", "rocksdb" };

static int stores_known(void)
{
#ifdef HAVE_ROCKSDB
    return 4;
#else
    return 3;
#endif
}

/* The option that a combination is refused for, as the message begins; NULL: it is not. */
static const char *refused_for(const struct spfresh_params *p)
{
    const bool wal = p->wal == SPFRESH_WRITTEN || p->wal == SPFRESH_SYNCED;

    if (p->store == POSTING_MEMORY && wal)
        return "spann: wal = ";
    if (p->store != POSTING_FILE && p->io != POSTING_IO_AUTO)
        return "spann: io = ";
    return p->direct && p->store < POSTING_FILE ? "spann: direct = true with store = " : NULL;
}

static void expect_in_use(struct book *b)
{
    const struct spfresh_params *p = &b->params;
    const char *why;
    const bool file = p->store == POSTING_FILE;
    const bool uring = file && p->io != POSTING_IO_PREAD && read_queue_uring_usable(&why);
    const bool direct = p->direct && folder_has_direct_reads(b->dir);
    const int64_t automatic = p->store == POSTING_MEMORY ? SPFRESH_NO_WAL : SPFRESH_WRITTEN;
    const int64_t wal = p->wal == SPFRESH_AUTO ? automatic : p->wal;

    assert_true(test_stat(b->index, "io_uring") == uring);
    assert_true(test_stat(b->index, "read_threads") == (file && direct && !uring));
    assert_true(test_stat(b->index, "direct") == direct);
    assert_true(test_stat(b->index, "wal") == (double)wal);
    assert_true((test_stat(b->index, "wal_bytes") > 0) == (wal != SPFRESH_NO_WAL));
    assert_true((test_stat(b->index, "wal_syncs") > 0) == (wal == SPFRESH_SYNCED));
}

static void try_one(struct spfresh_params params)
{
    const char *refused = refused_for(&params);
    struct book b;

    if (refused) {
        struct index *index = NULL;

        book_open(&b, &spann_ops, book_defaults(&spann_ops, ""), INDEX_F32, 4, 1, 1);
        assert_int_equal(spann_ops.create(&index, &b.bench.env, &params), ERR_ARGUMENT);
        assert_int_equal(strncmp(b.bench.error.text, refused, strlen(refused)), 0);
        assert_non_null(strstr(b.bench.error.text, stores[params.store]));
        assert_null(index);
    } else {
        book_open(&b, &spann_ops, params, INDEX_F32, 4, ROWS, 1);
        book_start(&b, 5, .4, FIRST);
        assert_ok(book_insert(&b, FIRST, ROWS - FIRST), &b.bench.error);
        book_exact(&b);
        expect_in_use(&b);
    }
    book_close(&b);
}

static void every_combination(void **state)
{
    struct spfresh_params p = book_defaults(&spann_ops, "");
    const char *why;

    for (p.store = 0; p.store < stores_known(); p.store++)
        for (p.io = POSTING_IO_AUTO; p.io <= POSTING_IO_PREAD; p.io++)
            for (int direct = 0; direct < 2; direct++)
                for (p.wal = SPFRESH_NO_WAL; p.wal <= SPFRESH_AUTO; p.wal++) {
                    p.direct = direct;
                    p.postings = p.wal % 2 ? CODEC_SQ8 : CODEC_RAW;
                    if (p.io != POSTING_IO_URING || p.store != POSTING_FILE ||
                        read_queue_uring_usable(&why))
                        try_one(p);
                }
}

int main(void)
{
    return test_run_all("spfresh_io", every_combination);
}
