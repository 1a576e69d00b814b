/* file.c - the block file: opening, updates, reports, and the table of its functions. */
#define _GNU_SOURCE /* O_DIRECT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/common/io/read_queue.h"
#include "algorithms/common/postings/file_internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* ---- opening */

static void file_close(struct posting_store *store)
{
    struct file_store *s = file_of(store);

    read_threads_destroy(s->threads);
    for (size_t i = 0; i < directory_n(&s->directory); i++) {
        struct placement *p = directory_get(&s->directory, (uint32_t)i);

        if (p && p->n_pages > PLACEMENT_POOLED)
            posting_placement_release(&s->pool, p);
    }
    for (size_t i = 0; i < s->n_segments; i++)
        (void)munmap(*(void **)segmented_at(&s->segments, i), (size_t)SEGMENT_PAGES * POSTING_PAGE);
    /* Nothing depends on close(): data that must last were synced before. */
    (void)posting_faulted(s, "close");
    if (s->fd >= 0)
        (void)close(s->fd);
    if (s->direct_fd >= 0)
        (void)close(s->direct_fd);
    directory_free(&s->directory);
    segmented_free(&s->segments);
    posting_placement_pool_free(&s->pool);
    posting_extents_free(&s->space);
    (void)pthread_mutex_destroy(&s->lock);
    mem_free(store->env.mem, s->path);
}

static int open_files(struct file_store *s, bool resume)
{
    const char *dir = s->base.env.dir;
    const size_t bytes = strlen(dir) + sizeof "/postings";
    const int flags = O_RDWR | O_CLOEXEC | (resume ? 0 : O_CREAT | O_TRUNC);

    s->path = mem_alloc(s->base.env.mem, bytes);
    if (!s->path)
        return fail(s->base.env.error, ERR_NO_MEMORY, "postings: out of memory for a path");
    (void)snprintf(s->path, bytes, "%s/postings", dir);
    s->fd = posting_faulted(s, "open") ? -1 : open(s->path, flags, 0666);
    if (s->fd < 0)
        return fail_errno(s->base.env.error, resume && errno == ENOENT ? ERR_CORRUPT : ERR_IO,
                          "cannot open %s%s", s->path,
                          resume ? ", which the snapshot refers to" : "");
    if (s->base.options.kind == POSTING_FILE && s->base.options.direct)
        s->direct_fd = posting_faulted(s, "open") ? -1 : file_open_direct(s->path, 0);
    return OK;
}

static int file_open(struct posting_store *store, const struct store_reader *resume)
{
    struct file_store *s = file_of(store);
    struct mem *mem = store->env.mem;
    int rc;

    s->fd = s->direct_fd = -1;
    (void)pthread_mutex_init(&s->lock, NULL);
    directory_init(&s->directory, mem, sizeof(_Atomic(void *)));
    segmented_init(&s->segments, mem, sizeof(void *));
    posting_extents_init(&s->space, mem);
    posting_placement_pool_init(&s->pool, mem);
    rc = open_files(s, resume != NULL);
    if (rc == OK)
        rc = posting_file_choose_io(s);
    return rc == OK && resume ? posting_file_resume(s, resume) : rc;
}

enum { STACK_BYTES = 4 * POSTING_PAGE };

/* ---- preparing an update */

static int no_memory(const struct file_store *s, uint32_t posting)
{
    return fail(s->base.env.error, ERR_NO_MEMORY,
                "%s: out of memory, cannot write posting %" PRIu32 "; it is unchanged", s->path,
                posting);
}

/* The number of contiguous runs of a posting's pages. */
static size_t runs_of(const struct placement *p, size_t n_pages)
{
    size_t runs = 0;

    for (size_t i = 0; i < n_pages; i += run_length(p, i, n_pages))
        runs++;
    return runs;
}

/* Makes a placement of n_pages, of which the first *kept are the old one's; sets *kept to 0 if the
   posting would otherwise have too many runs. Under lock. */
static int place(struct file_store *s, uint32_t posting, const struct placement *old, size_t *kept,
                 size_t n_pages, struct placement **made)
{
    struct placement *p = posting_placement_make(&s->pool, n_pages);
    size_t n = n_pages - *kept;
    uint32_t first = PAGE_NONE;
    int rc = OK;

    if (!p)
        return no_memory(s, posting);
    if (*kept > 0 && n > 0) {
        const bool whole = runs_of(old, *kept) + 1 > 1 + n_pages / 8;

        first = posting_extents_reserve(&s->space, n, old->pages[*kept - 1].page + 1, whole);
        if (first == PAGE_NONE && whole) {
            *kept = 0;
            n = n_pages;
        }
    }
    if (first == PAGE_NONE && n > 0)
        first = posting_extents_reserve(&s->space, n, PAGE_NONE, false);
    if (first == PAGE_NONE && n > 0) {
        rc = posting_file_grow(s, posting_extents_grown(&s->space, n));
        if (rc == OK)
            first = posting_extents_reserve(&s->space, n, PAGE_NONE, false);
    }
    if (rc != OK) {
        posting_placement_release(&s->pool, p);
        return rc;
    }
    if (*kept > 0)
        memcpy(p->pages, old->pages, *kept * sizeof *p->pages);
    if (*kept > 0 && *kept == old->n_pages) /* it grew in place */
        p->pages[*kept - 1].sum = (uint32_t)placement_tail(old);
    for (size_t i = *kept; i < n_pages; i++)
        p->pages[i] = (struct page_ref){ first + (uint32_t)(i - *kept), 0 };
    *made = p;
    return OK;
}

/* Gives back the pages from `first` on, and the placement. Under lock. */
static void unplace(struct file_store *s, struct placement *p, size_t first)
{
    for (size_t i = first; i < p->n_pages; i++)
        posting_extents_release(&s->space, p->pages[i].page);
    posting_placement_release(&s->pool, p);
}

/* Called when no reader holds it any more. */
static void give_back(void *owner, struct epoch_item *item)
{
    struct file_store *s = owner;
    struct placement *p = (struct placement *)(void *)item;

    (void)pthread_mutex_lock(&s->lock);
    s->retired_pages -= p->n_pages - p->kept;
    unplace(s, p, p->kept);
    (void)pthread_mutex_unlock(&s->lock);
}

/* Makes `p` the posting's placement; the first `kept` pages of the old one belong to p too. */
static void publish(struct file_store *s, uint32_t posting, struct placement *p,
                    struct placement *old, size_t kept)
{
    directory_put(&s->directory, posting, p);
    if (!old)
        return;
    old->kept = (uint32_t)kept;
    (void)pthread_mutex_lock(&s->lock);
    s->retired_pages += old->n_pages - kept;
    (void)pthread_mutex_unlock(&s->lock);
    epoch_retire(s->base.epoch, &old->item, give_back, s);
}

/* ---- splice */

/* An append within the last page: no reader or snapshot uses the bytes after the posting's end. */
static int append_in_page(struct file_store *s, uint32_t posting, struct placement *p,
                          size_t length, const void *bytes, size_t n)
{
    unsigned char page[POSTING_PAGE];
    const size_t used = length % POSTING_PAGE, start = length - used;
    int rc = posting_file_fetch(s, posting, p, start, used, page);

    if (rc == OK)
        rc = posting_file_write(s, posting, p, length, bytes, n);
    if (rc != OK)
        return rc;
    memcpy(page + used, bytes, n);
    atomic_store_explicit(&p->tail, tail_make(length + n, posting_page_checksum(page, used + n)),
                          memory_order_release);
    return OK;
}

/* Computes the checksums of the pages from byte `from` (a page's first) on; `n` bytes end
   the posting. */
static void sum_pages(struct placement *p, size_t from, const unsigned char *bytes, size_t n)
{
    size_t i = from / POSTING_PAGE;

    for (size_t at = 0; at < n; at += POSTING_PAGE, i++)
        p->pages[i].sum =
            posting_page_checksum(bytes + at, n - at < POSTING_PAGE ? n - at : POSTING_PAGE);
    atomic_store_explicit(&p->tail, tail_make(from + n, p->pages[p->n_pages - 1].sum),
                          memory_order_relaxed);
}

/* Any other update: bytes from page `kept` on go to fresh pages. If the last page only grows, new
   bytes go past its end and to fresh pages. */
static int splice_pages(struct file_store *s, uint32_t posting, struct placement *old,
                        size_t length, size_t keep, const void *bytes, size_t n)
{
    const size_t total = keep + n, n_pages = pages_of(total);
    size_t kept = keep == length ? pages_of(keep) : keep / POSTING_PAGE, from, before;
    unsigned char stack[STACK_BYTES], *image = stack;
    struct placement *p = NULL;
    int rc;

    (void)pthread_mutex_lock(&s->lock);
    rc = place(s, posting, old, &kept, n_pages, &p);
    (void)pthread_mutex_unlock(&s->lock);
    if (rc != OK)
        return rc;
    /* From the start of the first page whose bytes or checksum change. */
    from = kept * POSTING_PAGE < keep ? kept * POSTING_PAGE : keep / POSTING_PAGE * POSTING_PAGE;
    before = keep - from;
    if (before == 0)
        image = NULL; /* the caller's bytes are all that is written */
    else if (before + n > sizeof stack)
        image = mem_alloc(s->base.env.mem, before + n);
    if (before > 0 && !image)
        rc = no_memory(s, posting);
    if (rc == OK && before > 0)
        rc = posting_file_fetch(s, posting, old, from, before, image);
    if (rc == OK && before > 0 && n > 0)
        memcpy(image + before, bytes, n);
    if (rc == OK) {
        /* The kept bytes of the last page are already there. */
        const size_t skip = kept * POSTING_PAGE > from ? before : 0;
        const unsigned char *all = image ? image : bytes;

        if (before + n > 0)
            rc = posting_file_write(s, posting, p, from + skip, all + skip, before + n - skip);
        if (before + n > 0)
            sum_pages(p, from, all, before + n);
        else
            atomic_store_explicit(&p->tail, tail_make(total, p->pages[n_pages - 1].sum),
                                  memory_order_relaxed);
    }
    if (image != stack)
        mem_free(s->base.env.mem, image);
    if (rc != OK) {
        (void)pthread_mutex_lock(&s->lock);
        unplace(s, p, kept);
        (void)pthread_mutex_unlock(&s->lock);
        return rc;
    }
    publish(s, posting, p, old, kept);
    return OK;
}

static void take_away(struct file_store *s, uint32_t posting)
{
    struct placement *old = directory_get(&s->directory, posting);

    if (old)
        publish(s, posting, NULL, old, 0);
}

static int file_splice(struct posting_store *store, uint32_t posting, size_t keep,
                       const void *bytes, size_t n)
{
    struct file_store *s = file_of(store);

    if (!directory_reserve(&s->directory, posting))
        return no_memory(s, posting);
    struct placement *old = directory_get(&s->directory, posting);
    const size_t length = old ? tail_length(placement_tail(old)) : 0;
    if (keep == length && n == 0)
        return OK;
    if (keep == length && keep % POSTING_PAGE > 0 && pages_of(keep + n) == pages_of(keep))
        return append_in_page(s, posting, old, length, bytes, n);
    if (keep + n > 0)
        return splice_pages(s, posting, old, length, keep, bytes, n);
    take_away(s, posting);
    return OK;
}

static void file_drop(struct posting_store *store, uint32_t posting)
{
    take_away(file_of(store), posting);
}

static size_t file_length(const struct posting_store *store, uint32_t posting)
{
    const struct placement *p = directory_get(&file_of(store)->directory, posting);

    return p ? tail_length(placement_tail(p)) : 0;
}

static int file_fetch(struct posting_store *store, uint32_t posting, size_t from, size_t n,
                      void *out)
{
    struct file_store *s = file_of(store);

    return posting_file_fetch(s, posting, directory_get(&s->directory, posting), from, n, out);
}

/* ---- reports */

static void file_counts(const struct posting_store *store, struct posting_counts *c)
{
    struct file_store *s = file_of(store);

    c->pages_written = COUNT_GET(s->pages_written);
    c->bytes_written = COUNT_GET(s->bytes_written);
    c->direct = s->direct_fd >= 0;
    c->uring = posting_file_is_uring(s);
    c->threads = c->direct && !c->uring;
    (void)pthread_mutex_lock(&s->lock);
    c->pages_total = s->space.total;
    c->pages_free = s->space.n_free;
    c->pages_pinned = s->space.n_pinned;
    (void)pthread_mutex_unlock(&s->lock);
    c->pages_used = c->pages_total - c->pages_free - c->pages_pinned;
}

static uint64_t file_resident(const struct posting_store *store)
{
    struct file_store *s = file_of(store);
    uint64_t bytes = sizeof *s + directory_bytes(&s->directory) + segmented_bytes(&s->segments) +
                     COUNT_GET(s->reader_bytes) + strlen(s->path) + 1;

    (void)pthread_mutex_lock(&s->lock);
    bytes += s->pool.bytes + posting_extents_bytes(&s->space);
    (void)pthread_mutex_unlock(&s->lock);
    return bytes;
}

/* Disk space of the file: pages that were never written are holes. */
static uint64_t file_disk(const struct posting_store *store)
{
    struct stat st;

    return fstat(file_of(store)->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

const struct posting_ops posting_file_ops = {
    .name = "file",
    .store_bytes = sizeof(struct file_store),
    .reader_bytes = sizeof(struct file_reader),
    .open = file_open,
    .close = file_close,
    .splice = file_splice,
    .drop = file_drop,
    .length = file_length,
    .fetch = file_fetch,
    .reader_open = posting_file_reader_open,
    .reader_close = posting_file_reader_close,
    .read = posting_file_read_some,
    .next = posting_file_next,
    .freeze = posting_file_freeze,
    .sync = posting_file_sync,
    .ended = posting_file_ended,
    .counts = file_counts,
    .resident = file_resident,
    .disk = file_disk,
    .check = posting_file_check,
};
