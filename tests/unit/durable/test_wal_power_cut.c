/* test_wal_power_cut.c - for any subset of the unsynced pages, acknowledged records are present,
   and there is never a gap. */
#include "tests/unit/durable/log.h"

/* ------------------------------------------------------------------------------- power cuts */

enum { PAGE = 4096, IMAGE_MOST = 10 * PAGE, IMAGE_FILES = 2 };

/* Versions of a file: on the device after the last fsync, in the page cache at the power cut,
   and, if an update failed in between, at that time. After the cut, an unsynced page is in any of
   these versions, or zero. */
struct image {
    unsigned char synced[IMAGE_MOST], stale[IMAGE_MOST], written[IMAGE_MOST];
    size_t synced_n, stale_n, written_n;
};

static size_t image_read(const struct log_test *t, uint64_t number, unsigned char *bytes)
{
    memset(bytes, 0, IMAGE_MOST);
    return read_file(t, number, bytes, IMAGE_MOST);
}

/* Writes the file. Each base-4 digit of `choice` selects the version of one unsynced page; one
   more digit selects the size: as written, as synced, or cut after a page in between. Returns
   the rest of `choice`. */
static size_t image_write(const struct log_test *t, uint64_t number, const struct image *image,
                          size_t choice)
{
    unsigned char bytes[IMAGE_MOST] = { 0 };
    const size_t first = image->synced_n / PAGE;
    const size_t end = (image->written_n + PAGE - 1) / PAGE;

    memcpy(bytes, image->synced, image->synced_n);
    for (size_t page = first; page < end; page++, choice /= 4) {
        const unsigned char *const from[] = { image->written, image->synced, image->stale };
        if (choice % 4 < 3)
            memcpy(bytes + page * PAGE, from[choice % 4] + page * PAGE, PAGE);
        else if (page > first) /* the first page has synced bytes */
            memset(bytes + page * PAGE, 0, PAGE);
    }
    const size_t middle = (first + end) / 2 * PAGE;
    const size_t n = choice % 3 == 0                                         ? image->written_n
                     : choice % 3 == 1                                       ? image->synced_n
                     : middle > image->synced_n && middle < image->written_n ? middle
                                                                             : image->written_n;
    char path[PATH_MAX];
    log_file(t, number, path);
    (void)unlink(path);
    if (n || choice % 2)
        write_file(t, number, bytes, n);
    return choice / 3;
}

/* The number of choices. */
static size_t image_choices(const struct image *image)
{
    size_t choices = 3;
    for (size_t page = image->synced_n / PAGE; page * PAGE < image->written_n; page++)
        choices *= 4;
    return choices;
}

/* After a power cut the log opens and has records 1 ... n, for an n of `ends` that is at least
   `least`. It continues, and new commits are durable. */
static void expect_opens(struct log_test *t, const uint64_t *ends, size_t n_ends, uint64_t least,
                         size_t choice)
{
    static struct seen s;
    struct wal *j;
    uint64_t last = 0, dropped;
    const int rc = replay(t, 0, &s, &last, &dropped);

    if (rc)
        fail_msg("choice %zu: %s", choice, t->error.text);
    bool allowed = last >= least && s.count == last;
    for (size_t i = 0; allowed && i < s.count; i++)
        allowed = s.n[i] == i + 1;
    bool end_of_batch = false;
    for (size_t i = 0; i < n_ends; i++)
        end_of_batch = end_of_batch || ends[i] == last;
    if (!allowed || !end_of_batch)
        fail_msg("choice %zu: %zu records, the last one %" PRIu64, choice, s.count, last);
    const uint64_t next = last + 1;
    assert_ok(wal_open(&j, &t->env, WAL_SYNCED, last, NULL), &t->error);
    assert_ok(commit(j, next, 5), &t->error);
    wal_close(j);
    expect(t, 0, 1, (size_t)next + 4, 0);
}

/* Every subset of the unsynced pages of a batch that was not acknowledged, over those of a failed
   batch at the same place: each page old, new, stale or zero, the size old, new or between. */
static void test_power_cut_in_a_batch(void **state)
{
    struct log_test t;
    struct wal *j;
    static struct image image;
    struct faults faults = { .only = "fsync", .fail_at = 3, .code = EIO };
    const struct file_fault fault = { fail_nth, &faults };
    begin(&t);
    assert_ok(wal_open(&j, &t.env, WAL_SYNCED, 0, &fault), &t.error);
    assert_ok(commit(j, 1, 20), &t.error);
    assert_ok(commit(j, 21, 20), &t.error);
    image.synced_n = image_read(&t, 1, image.synced);
    /* Other values of the same lengths, so that the records of both batches lie
       at the same offsets. */
    assert_code(commit(j, 41 + 50 * 256, 400), ERR_IO, &t.error);
    assert_ok(commit(j, 41 + 50 * 256, 400), &t.error);
    image.stale_n = image_read(&t, 1, image.stale);
    wal_close(j);
    test_dir_clear(t.dir);
    write_file(&t, 1, image.synced, image.synced_n);
    assert_ok(wal_open(&j, &t.env, WAL_SYNCED, 40, NULL), &t.error);
    assert_ok(commit(j, 41, 400), &t.error);
    wal_close(j);
    image.written_n = image_read(&t, 1, image.written);
    assert_int_equal(image.stale_n, image.written_n);
    const uint64_t ends[] = { 40, 440 };
    size_t whole = 0;
    for (size_t choice = 0; choice < image_choices(&image); choice++) {
        static struct seen s;
        uint64_t last, dropped;
        image_write(&t, 1, &image, choice);
        const int rc = replay(&t, 0, &s, &last, &dropped);
        assert_ok(rc, &t.error);
        /* The failed batch, complete: its caller got an error, and nothing came after it. */
        if (last == 440 && s.n[40] != 41)
            continue;
        whole += last == 440;
        expect_opens(&t, ends, 2, 40, choice);
    }
    assert_int_equal(whole, 1); /* if all pages and the size are new */
    end(&t);
}

/* After a batch lies one of a failed update, intact and with the next lsn. */
static void test_stale_batch(void **state)
{
    struct log_test t;
    struct wal *j;
    unsigned char failed[4096], bytes[4096];
    size_t n = 0;
    begin(&t);
    for (uint64_t k = 0; k < 2; k++) {
        test_dir_clear(t.dir);
        assert_ok(wal_open(&j, &t.env, WAL_WRITTEN, 0, NULL), &t.error);
        assert_ok(commit(j, 1, 3), &t.error);
        assert_ok(commit(j, k ? 4 : 4 + 350, 3), &t.error);
        assert_ok(commit(j, k ? 7 : 7 + 350, 3), &t.error);
        wal_close(j);
        n = read_file(&t, 1, k ? bytes : failed, sizeof bytes);
    }
    const size_t at = n - batch_bytes(7, 3);
    memcpy(bytes + at, failed + at, n - at);
    write_file(&t, 1, bytes, n);
    expect(&t, 0, 1, 6, n - at);
    end(&t);
}

/* The same for commits without sync, over two files: the older one was synced when the newer one
   began, or that sync failed. */
static void run_power_cut_in_two_files(bool sync_fails)
{
    struct log_test t;
    struct wal *j;
    static struct image images[IMAGE_FILES];
    struct faults faults = { .only = "fsync", .fail_at = sync_fails, .forever = true, .code = EIO };
    const struct file_fault fault = { fail_nth, &faults };
    uint64_t ends[80], lsn;
    size_t n_ends = 0;
    begin(&t);
    memset(images, 0, sizeof images);
    assert_ok(wal_open(&j, &t.env, WAL_WRITTEN, 0, &fault), &t.error);
    ends[n_ends++] = 0;
    for (size_t file = 0; file < IMAGE_FILES; file++) {
        for (int i = 0; i < 7; i++) {
            const uint64_t first = ends[n_ends - 1] + 1;
            assert_ok(commit(j, first, 30), &t.error);
            ends[n_ends++] = first + 29;
        }
        images[file].written_n = image_read(&t, file + 1, images[file].written);
        if (file == 0)
            assert_ok(wal_rotate(j, &lsn), &t.error);
        error_clear(&t.error);
        if (file == 0 && !sync_fails)
            images[0].synced_n = image_read(&t, 1, images[0].synced);
        memcpy(images[file].stale, images[file].synced, IMAGE_MOST);
    }
    wal_close(j);
    const uint64_t least = sync_fails ? 0 : lsn;
    const size_t choices = image_choices(&images[0]) * image_choices(&images[1]);
    struct rng r = rng_at(test_seed(), 9);
    for (size_t i = 0; i < 3000; i++) {
        const size_t choice = i < 1000 ? i : rng_below(&r, choices);
        test_dir_clear(t.dir);
        const size_t rest = image_write(&t, 1, &images[0], choice);
        image_write(&t, 2, &images[1], rest);
        expect_opens(&t, ends, n_ends, least, choice);
    }
    end(&t);
}

static void test_power_cut_in_two_files(void **state)
{
    run_power_cut_in_two_files(false);
    run_power_cut_in_two_files(true);
}

int main(void)
{
    return test_run_all("wal_power_cut", test_power_cut_in_a_batch, test_stale_batch,
                        test_power_cut_in_two_files);
}
