/* test_io.c - every combination of io, direct and wal does what it says, and stats() reports it. */
#include "algorithms/common/io/read_queue.h"
#include "tests/support/index_folder.h"
#include "tests/unit/channi/build.h"

enum { WIDE = 300 }; /* dimensions: the vectors are larger than the cache */

static void try_one(struct channi_params params)
{
    struct book b;
    const char *why;
    const bool uring = params.io != CACHE_IO_PREAD && read_queue_uring_usable(&why);

    book_open(&b, params, INDEX_F32, WIDE, ROWS, 1);

    book_start(&b, 10, .4, ROWS);
    for (size_t i = 0; i < ROWS; i += 37)
        book_expect_at(&b, BOOK_NEWEST, b.stored, book_row(&b, i), 1);
    assert_true(test_stat(b.index, "cache_reads") + test_stat(b.index, "cache_row_reads") > 0);
    assert_true(test_stat(b.index, "io_uring") == uring);
    assert_true(test_stat(b.index, "read_threads") == !uring);
    assert_true(test_stat(b.index, "direct") == (params.direct && folder_has_direct_reads(b.dir)));
    assert_true(test_stat(b.index, "wal") == (double)params.wal);
    assert_true((book_channi(&b)->durable.wal != NULL) == (params.wal != CHANNI_NO_WAL));
    book_close(&b);
}

static void every_combination(void **state)
{
    struct channi_params p = book_with(build_params(), "cache_mb=1,eps0=12");
    const char *why;

    for (p.io = CACHE_IO_AUTO; p.io <= CACHE_IO_PREAD; p.io++)
        for (int direct = 0; direct < 2; direct++)
            for (int cold = 0; cold < 2; cold++)
                for (p.wal = CHANNI_NO_WAL; p.wal <= CHANNI_SYNCED; p.wal++) {
                    p.direct = direct;
                    p.cold_rows = cold;
                    p.cluster_index = cold ? INSIDE_CODES : INSIDE_SCAN;
                    if (p.io != CACHE_IO_URING || read_queue_uring_usable(&why))
                        try_one(p);
                }
}

int main(void)
{
    return test_run_all("channi_io", every_combination);
}
