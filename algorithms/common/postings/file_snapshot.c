/* file_snapshot.c - saving and restoring the placement of every posting, and the check of all
 * invariants.
 *
 * Sections: "store.head"; "store.lengths", u32 bytes of every posting; "store.pages", address and
 * checksum of every page, posting after posting. */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/common/postings/file_internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

struct file_snapshot_head {
    uint64_t format, n_postings, n_pages, total; /* n_pages: of postings; total: of the file */
};

enum { SNAPSHOT_FORMAT = 1 };

static struct placement *placement_at(const struct file_store *s, size_t posting)
{
    return directory_get(&s->directory, (uint32_t)posting);
}

/* ---- writing */

/* Reads all postings and verifies their pages; with `write`, writes these again. */
static int verify_all(struct file_store *s, bool write)
{
    unsigned char page[POSTING_PAGE];
    int rc = OK;

    for (size_t i = 0; rc == OK && i < directory_n(&s->directory); i++) {
        const struct placement *p = placement_at(s, i);
        const uint64_t tail = p ? placement_tail(p) : 0;

        for (size_t k = 0; rc == OK && p && k < p->n_pages; k++) {
            const size_t used = page_used(tail_length(tail), k);

            rc = posting_file_read(s, (uint32_t)i, p, k * POSTING_PAGE, used, page);
            if (rc == OK)
                rc = posting_file_verify(s, (uint32_t)i, p, tail, k, page);
            if (rc == OK && write)
                rc = posting_file_write(s, (uint32_t)i, p, k * POSTING_PAGE, page, used);
        }
    }
    return rc;
}

int posting_file_freeze(struct posting_store *store, struct store_writer *w)
{
    struct file_store *s = file_of(store);
    struct file_snapshot_head head = { .format = SNAPSHOT_FORMAT,
                                       .n_postings = directory_n(&s->directory) };
    /* After a failed write-back the system treats the page as clean, and a second fsync() would
       succeed although the data are not on the device. So everything that the snapshot will refer
       to is written again. */
    const int rc = s->unsure ? verify_all(s, true) : OK;

    if (rc != OK)
        return rc;
    (void)pthread_mutex_lock(&s->lock);
    posting_extents_ended(&s->space, DURABLE_NOTHING);
    for (size_t i = 0; i < head.n_postings; i++) {
        const struct placement *p = placement_at(s, i);

        for (size_t k = 0; p && k < p->n_pages; k++)
            posting_extents_pin(&s->space, p->pages[k].page);
        head.n_pages += p ? p->n_pages : 0;
    }
    head.total = s->space.total;
    (void)pthread_mutex_unlock(&s->lock);
    store_section(w, "store.head");
    store_write(w, &head, sizeof head);
    store_section(w, "store.lengths");
    for (size_t i = 0; i < head.n_postings; i++) {
        const struct placement *p = placement_at(s, i);
        const uint32_t length = p ? (uint32_t)tail_length(placement_tail(p)) : 0;

        store_write(w, &length, sizeof length);
    }
    store_section(w, "store.pages");
    for (size_t i = 0; i < head.n_postings; i++) {
        const struct placement *p = placement_at(s, i);

        for (size_t k = 0; p && k < p->n_pages; k++) {
            const struct page_ref ref = { p->pages[k].page, page_sum_of(p, placement_tail(p), k) };

            store_write(w, &ref, sizeof ref);
        }
    }
    return w->code;
}

int posting_file_sync(struct posting_store *store)
{
    struct file_store *s = file_of(store);

    s->unsure = !file_sync_data(s->fd, s->base.options.fault);
    return s->unsure ? fail_errno(store->env.error, ERR_IO, "cannot sync %s", s->path) : OK;
}

void posting_file_ended(struct posting_store *store, enum durable_outcome outcome)
{
    struct file_store *s = file_of(store);

    (void)pthread_mutex_lock(&s->lock);
    posting_extents_ended(&s->space, outcome);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- reading */

static int corrupt(const struct file_store *s, const struct store_reader *r, uint32_t posting,
                   uint32_t page, const char *what)
{
    return fail(s->base.env.error, ERR_CORRUPT,
                "%s: posting %" PRIu32 " has page %" PRIu32 " of %s, which %s", r->path, posting,
                page, s->path, what);
}

static int resume_posting(struct file_store *s, const struct store_reader *r, uint32_t posting,
                          uint32_t length, const struct page_ref *refs, uint64_t file_bytes)
{
    const size_t n_pages = pages_of(length);
    struct placement *p = posting_placement_make(&s->pool, n_pages);

    if (!p)
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: out of memory for posting %" PRIu32,
                    s->path, posting);
    /* From here on close() releases it. */
    directory_put(&s->directory, posting, p);
    for (size_t k = 0; k < n_pages; k++) {
        const uint32_t page = refs[k].page;

        if (page >= s->space.total ||
            (uint64_t)page * POSTING_PAGE + page_used(length, k) > file_bytes)
            return corrupt(s, r, posting, page, "is past the end of the file");
        if (!posting_extents_claim(&s->space, page))
            return corrupt(s, r, posting, page, "is another posting's too");
        posting_extents_pin(&s->space, page);
    }
    memcpy(p->pages, refs, n_pages * sizeof *refs);
    atomic_init(&p->tail, tail_make(length, refs[n_pages - 1].sum));
    return OK;
}

static int resume_postings(struct file_store *s, const struct store_reader *r,
                           const struct file_snapshot_head *head, uint64_t file_bytes)
{
    const uint32_t *lengths = NULL;
    const struct page_ref *refs = NULL;
    uint64_t at = 0;
    int rc = store_need_array(r, "store.lengths", head->n_postings, sizeof *lengths, &lengths);

    if (rc == OK)
        rc = store_need_array(r, "store.pages", head->n_pages, sizeof *refs, &refs);
    if (rc == OK && head->n_postings > 0 &&
        !directory_reserve(&s->directory, (uint32_t)(head->n_postings - 1)))
        rc = fail(s->base.env.error, ERR_NO_MEMORY, "%s: out of memory for %" PRIu64 " postings",
                  s->path, head->n_postings);
    for (uint32_t i = 0; rc == OK && i < head->n_postings; i++) {
        const size_t n_pages = pages_of(lengths[i]);

        if (n_pages > head->n_pages - at)
            rc = store_corrupt(r, "postings have more pages than it says");
        else if (n_pages > 0)
            rc = resume_posting(s, r, i, lengths[i], refs + at, file_bytes);
        at += n_pages;
    }
    if (rc == OK && at != head->n_pages)
        rc = store_corrupt(r, "postings have fewer pages than it says");
    return rc;
}

int posting_file_resume(struct file_store *s, const struct store_reader *r)
{
    struct file_snapshot_head head;
    const void *bytes;
    struct stat st;
    int rc = store_need(r, "store.head", sizeof head, &bytes, NULL);

    if (rc != OK)
        return rc;
    memcpy(&head, bytes, sizeof head);
    if (head.format != SNAPSHOT_FORMAT || head.n_postings > UINT32_MAX ||
        head.n_pages > head.total || head.total > PAGE_NONE - 64 || head.total % 64 != 0)
        return store_corrupt(r, "the head of the posting store's part is invalid");
    if (fstat(s->fd, &st) != 0)
        return fail_errno(s->base.env.error, ERR_IO, "cannot stat %s", s->path);
    if ((uint64_t)st.st_size < head.total * POSTING_PAGE)
        return fail(s->base.env.error, ERR_CORRUPT,
                    "%s: %jd bytes, and the snapshot %s was taken of %" PRIu64, s->path,
                    (intmax_t)st.st_size, r->path, head.total * POSTING_PAGE);
    rc = head.total > 0 ? posting_file_grow(s, (size_t)head.total) : OK;
    if (rc == OK)
        rc = resume_postings(s, r, &head, (uint64_t)st.st_size);
    if (rc == OK)
        posting_extents_ended(&s->space, DURABLE_DONE);
    return rc;
}

/* ---- check */

#define BROKEN(s, ...) fail((s)->base.env.error, ERR_INVARIANT, __VA_ARGS__)

/* Checks the pages of one posting; `seen` has a bit per page. */
static int check_pages(const struct file_store *s, size_t posting, uint64_t *seen, size_t *live)
{
    const struct placement *p = placement_at(s, posting);
    const size_t length = p ? tail_length(placement_tail(p)) : 0;

    if (!p)
        return OK;
    if (length == 0 || pages_of(length) != p->n_pages)
        return BROKEN(s, "posting %zu: %zu bytes in %" PRIu32 " pages", posting, length,
                      p->n_pages);
    for (size_t k = 0; k < p->n_pages; k++) {
        const uint32_t page = p->pages[k].page;
        const uint64_t bit = UINT64_C(1) << page % 64;

        if (!posting_extents_is_taken(&s->space, page) ||
            posting_extents_is_pinned(&s->space, page))
            return BROKEN(s, "posting %zu: its page %" PRIu32 " is %s", posting, page,
                          page >= s->space.total                       ? "past the end"
                          : posting_extents_is_pinned(&s->space, page) ? "pinned"
                                                                       : "free");
        if (seen[page / 64] & bit)
            return BROKEN(s, "posting %zu: its page %" PRIu32 " is in another place too", posting,
                          page);
        seen[page / 64] |= bit;
    }
    *live += p->n_pages;
    return OK;
}

static int check_space(const struct file_store *s, uint64_t *seen)
{
    const struct posting_extents *space = &s->space;
    size_t live = 0, taken = 0, pinned = 0;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < directory_n(&s->directory); i++)
        rc = check_pages(s, i, seen, &live);
    for (size_t w = 0; rc == OK && w < space->total / 64; w++) {
        const uint64_t held = space->durable[w] | space->frozen[w];

        taken += (size_t)__builtin_popcountll(space->taken[w]);
        pinned += (size_t)__builtin_popcountll(space->pinned[w]);
        if (held & ~space->taken[w])
            rc = BROKEN(s, "a page of %zu to %zu is free, and a snapshot refers to it", 64 * w,
                        64 * w + 63);
        if (space->pinned[w] & ~(held & space->taken[w]))
            rc = BROKEN(s, "a page of %zu to %zu is pinned for no snapshot", 64 * w, 64 * w + 63);
    }
    if (rc != OK)
        return rc;
    if (pinned != space->n_pinned || space->total - taken != space->n_free ||
        live + s->retired_pages + pinned != taken)
        return BROKEN(
            s,
            "%zu pages of postings, %zu waiting for readers, %zu pinned (%zu counted), %zu "
            "free do not make %zu",
            live, s->retired_pages, pinned, space->n_pinned, space->n_free, space->total);
    return OK;
}

int posting_file_check(const struct posting_store *store)
{
    struct file_store *s = file_of(store);
    uint64_t *seen;
    int rc;

    (void)pthread_mutex_lock(&s->lock);
    seen = mem_zalloc(store->env.mem, s->space.total / 8);
    rc = seen
             ? check_space(s, seen)
             : fail(store->env.error, ERR_NO_MEMORY, "%s: out of memory, cannot check it", s->path);
    mem_free(store->env.mem, seen);
    (void)pthread_mutex_unlock(&s->lock);
    return rc == OK ? verify_all(s, false) : rc;
}
