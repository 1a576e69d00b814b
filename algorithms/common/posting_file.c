/* posting_file.c - the block file: opening it, and updates. */
#define _GNU_SOURCE /* O_DIRECT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "posting_file.h"
#include "posting_queue.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* A fill writes 16 kB at once. The page cache keeps what was written together as one folio, and ext4 walks
   a whole folio at every small write into it later: an append cost 10.7 us after writes of 256 kB, 2.0
   after these. */
enum { FILL_BYTES = 4 * POSTING_PAGE, STACK_BYTES = 4 * POSTING_PAGE };

/* ---- opening */

static void unmap(struct file_store *s)
{
    for (size_t i = 0; i < s->n_segments; i++)
        (void)munmap(*(void **)stable_at(&s->segments, i), (size_t)SEGMENT_PAGES * POSTING_PAGE);
}

static void file_close(struct posting_store *store)
{
    struct file_store *s = file_of(store);
    struct mem *mem = s->base.env.mem;

    pread_pool_destroy(s->preads);
    for (size_t i = 0; i < directory_n(&s->directory); i++) {
        struct placement *p = directory_get(&s->directory, (uint32_t)i);

        if (p && p->n_pages > PLACEMENT_POOLED)
            placement_release(&s->pool, p);
    }
    unmap(s);
    /* Nothing depends on close(): what must last was synced. */
    (void)file_faulted(s, "close");
    if (s->fd >= 0)
        (void)close(s->fd);
    if (s->direct_fd >= 0)
        (void)close(s->direct_fd);
    directory_free(&s->directory);
    stable_free(&s->segments);
    placement_pool_free(&s->pool);
    space_free(&s->space);
    (void)pthread_mutex_destroy(&s->lock);
    mem_free(mem, s->path);
    mem_free(mem, s);
}

/* Some file systems refuse O_DIRECT at open(), some at the first read. */
static int open_direct(const struct file_store *s)
{
    _Alignas(POSTING_PAGE) unsigned char page[POSTING_PAGE];
    const int fd = file_faulted(s, "open") ? -1 : open(s->path, O_RDONLY | O_DIRECT | O_CLOEXEC);

    if (fd >= 0 && pread(fd, page, sizeof page, 0) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int open_files(struct file_store *s, bool resume)
{
    const char *dir = s->base.env.dir;
    const size_t bytes = strlen(dir) + sizeof "/postings";
    const int flags = O_RDWR | O_CLOEXEC | (resume ? 0 : O_CREAT | O_TRUNC);

    s->path = mem_alloc(s->base.env.mem, bytes);
    if (!s->path)
        return fail(s->base.env.error, ERR_NO_MEMORY, "postings: no memory for a path");
    (void)snprintf(s->path, bytes, "%s/postings", dir);
    s->fd = file_faulted(s, "open") ? -1 : open(s->path, flags, 0666);
    if (s->fd < 0)
        return fail_errno(s->base.env.error, resume && errno == ENOENT ? ERR_CORRUPT : ERR_IO,
                          "cannot open %s%s", s->path,
                          resume ? ", which the snapshot refers to" : "");
    if (s->base.options.kind == POSTING_FILE && s->base.options.direct)
        s->direct_fd = open_direct(s);
    return OK;
}

static int file_open(struct posting_store **store, const struct index_env *env, struct epoch *epoch,
                     const struct posting_options *options, const struct store_reader *resume)
{
    struct file_store *s = mem_zalloc(env->mem, sizeof *s);
    int rc;

    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "postings: no memory for a store");
    s->base = (struct posting_store){
        .ops = &posting_file_ops, .env = *env, .epoch = epoch, .options = *options
    };
    s->fd = s->direct_fd = -1;
    (void)pthread_mutex_init(&s->lock, NULL);
    directory_init(&s->directory, env->mem);
    stable_init(&s->segments, env->mem, sizeof(void *));
    space_init(&s->space, env->mem);
    placement_pool_init(&s->pool, env->mem);
    rc = open_files(s, resume != NULL);
    if (rc == OK)
        rc = queue_choose(s);
    if (rc == OK && resume)
        rc = file_resume(s, resume);
    if (rc != OK) {
        epoch_drain(epoch);
        file_close(&s->base);
        return rc;
    }
    *store = &s->base;
    return OK;
}

/* ---- updates: what an update needs before it writes */

static int no_memory(const struct file_store *s, uint32_t posting)
{
    return fail(s->base.env.error, ERR_NO_MEMORY,
                "%s: no memory to write posting %" PRIu32 "; it is as before", s->path, posting);
}

/* How many of a posting's pages do not follow the one before. */
static size_t runs_of(const struct placement *p, size_t n_pages)
{
    size_t runs = 0;

    for (size_t i = 0; i < n_pages; i += run_length(p, i, n_pages))
        runs++;
    return runs;
}

/* A placement of n_pages, whose first *kept are the old one's; none are kept where the posting would
   lie in too many pieces. Under lock. */
static int place(struct file_store *s, uint32_t posting, const struct placement *old, size_t *kept,
                 size_t n_pages, struct placement **made)
{
    struct placement *p = placement_make(&s->pool, n_pages);
    size_t n = n_pages - *kept;
    uint32_t first = PAGE_NONE;
    int rc = OK;

    if (!p)
        return no_memory(s, posting);
    if (*kept > 0 && n > 0) {
        const bool whole = runs_of(old, *kept) + 1 > 1 + n_pages / 8;

        first = space_take(&s->space, n, old->pages[*kept - 1].page + 1, whole);
        if (first == PAGE_NONE && whole) {
            *kept = 0;
            n = n_pages;
        }
    }
    if (first == PAGE_NONE && n > 0)
        first = space_take(&s->space, n, PAGE_NONE, false);
    if (first == PAGE_NONE && n > 0) {
        rc = file_grow(s, space_wish(&s->space, n));
        if (rc == OK)
            first = space_take(&s->space, n, PAGE_NONE, false);
    }
    if (rc != OK) {
        placement_release(&s->pool, p);
        return rc;
    }
    if (*kept > 0)
        memcpy(p->pages, old->pages, *kept * sizeof *p->pages);
    if (*kept > 0 && *kept == old->n_pages) /* it grew where it lay */
        p->pages[*kept - 1].sum = (uint32_t)placement_tail(old);
    for (size_t i = *kept; i < n_pages; i++)
        p->pages[i] = (struct page_ref){ first + (uint32_t)(i - *kept), 0 };
    *made = p;
    return OK;
}

/* Gives back pages of a placement from `first` on, and the placement. Under lock. */
static void unplace(struct file_store *s, struct placement *p, size_t first)
{
    for (size_t i = first; i < p->n_pages; i++)
        space_give(&s->space, p->pages[i].page);
    placement_release(&s->pool, p);
}

/* No reader holds it any more. */
static void give_back(void *owner, struct epoch_item *item)
{
    struct file_store *s = owner;
    struct placement *p = (struct placement *)(void *)item;

    (void)pthread_mutex_lock(&s->lock);
    s->retired_pages -= p->n_pages - p->kept;
    unplace(s, p, p->kept);
    (void)pthread_mutex_unlock(&s->lock);
}

/* The posting is `p` from now on; the old placement's first `kept` pages are p's too. */
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

/* An append within the last page: the file's bytes after its end are nobody's. */
static int append_in_page(struct file_store *s, uint32_t posting, struct placement *p,
                          size_t length, const void *bytes, size_t n)
{
    unsigned char page[POSTING_PAGE];
    const size_t used = length % POSTING_PAGE, start = length - used;
    int rc = file_fetch(s, posting, p, start, used, page);

    if (rc == OK)
        rc = file_write(s, posting, p, length, bytes, n);
    if (rc != OK)
        return rc;
    memcpy(page + used, bytes, n);
    atomic_store_explicit(&p->tail, tail_make(length + n, page_checksum(page, used + n)),
                          memory_order_release);
    return OK;
}

/* Checksums of the pages from byte `from` (a page's first) on, `n` bytes that end the posting. */
static void sum_pages(struct placement *p, size_t from, const unsigned char *bytes, size_t n)
{
    size_t i = from / POSTING_PAGE;

    for (size_t at = 0; at < n; at += POSTING_PAGE, i++)
        p->pages[i].sum = page_checksum(bytes + at, n - at < POSTING_PAGE ? n - at : POSTING_PAGE);
    atomic_store_explicit(&p->tail, tail_make(from + n, p->pages[p->n_pages - 1].sum),
                          memory_order_relaxed);
}

/* Everything else: bytes from page `kept` on go to fresh pages, or, where the last page only grows,
   past its end and to fresh pages. */
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
    /* From the start of the first page whose bytes or checksum are new. */
    from = kept * POSTING_PAGE < keep ? kept * POSTING_PAGE : keep / POSTING_PAGE * POSTING_PAGE;
    before = keep - from;
    if (before == 0)
        image = NULL; /* the caller's bytes serve */
    else if (before + n > sizeof stack)
        image = mem_alloc(s->base.env.mem, before + n);
    if (before > 0 && !image)
        rc = no_memory(s, posting);
    if (rc == OK && before > 0)
        rc = file_fetch(s, posting, old, from, before, image);
    if (rc == OK && before > 0 && n > 0)
        memcpy(image + before, bytes, n);
    if (rc == OK) {
        /* What is kept of the last page is there already. */
        const size_t skip = kept * POSTING_PAGE > from ? before : 0;
        const unsigned char *all = image ? image : bytes;

        if (before + n > 0)
            rc = file_write(s, posting, p, from + skip, all + skip, before + n - skip);
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
    struct placement *old;
    size_t length;
    int rc = OK;

    if (!directory_reserve(&s->directory, posting))
        return no_memory(s, posting);
    old = directory_get(&s->directory, posting);
    length = old ? tail_length(placement_tail(old)) : 0;
    if (keep > length || n > UINT32_MAX - keep)
        return fail(store->env.error, ERR_ARGUMENT,
                    "posting %" PRIu32
                    ": %zu bytes are to stay and %zu to follow; it has %zu, and may have %" PRIu32,
                    posting, keep, n, length, UINT32_MAX);
    if (keep + n == 0)
        take_away(s, posting);
    else if (keep == length && keep % POSTING_PAGE > 0 && pages_of(keep + n) == pages_of(keep))
        rc = n > 0 ? append_in_page(s, posting, old, length, bytes, n) : OK;
    else if (keep < length || n > 0)
        rc = splice_pages(s, posting, old, length, keep, bytes, n);
    if (rc == OK) {
        COUNT_ADD(s->splices, 1);
        COUNT_ADD(s->bytes_given, n);
    }
    return rc;
}

static void file_drop(struct posting_store *store, uint32_t posting)
{
    COUNT_ADD(file_of(store)->drops, 1);
    take_away(file_of(store), posting);
}

static size_t file_length(const struct posting_store *store, uint32_t posting)
{
    const struct placement *p = directory_get(&file_of(store)->directory, posting);

    return p ? tail_length(placement_tail(p)) : 0;
}

static int file_fetch_posting(struct posting_store *store, uint32_t posting, size_t from, size_t n,
                              void *out)
{
    struct file_store *s = file_of(store);

    return file_fetch(s, posting, directory_get(&s->directory, posting), from, n, out);
}

/* ---- fill */

/* The pages of a fill in their order, through a buffer. */
struct filling {
    struct file_store *s;
    unsigned char *buffer;
    size_t buffered;
    uint32_t page; /* the next to be written */
};

static int fill_flush(struct filling *f)
{
    /* As a placement of its own: the pages lie in a row. */
    struct placement *p;
    const size_t n = f->buffered, n_pages = pages_of(n);
    unsigned char room[sizeof *p + FILL_BYTES / POSTING_PAGE * sizeof(struct page_ref)]
        __attribute__((aligned(8)));

    p = (struct placement *)(void *)room;
    for (size_t i = 0; i < n_pages; i++)
        p->pages[i].page = f->page + (uint32_t)i;
    f->buffered = 0;
    f->page += (uint32_t)n_pages;
    return file_write(f->s, POSTINGS_MANY, p, 0, f->buffer, n);
}

static int fill_put(struct filling *f, const unsigned char *bytes, size_t n)
{
    int rc = OK;

    while (n > 0 && rc == OK) {
        const size_t room = FILL_BYTES - f->buffered, k = n < room ? n : room;
        const size_t padding = (size_t)-k % POSTING_PAGE;

        memcpy(f->buffer + f->buffered, bytes, k);
        memset(f->buffer + f->buffered + k, 0, padding);
        f->buffered += k + padding;
        bytes += k;
        n -= k;
        if (f->buffered == FILL_BYTES)
            rc = fill_flush(f);
    }
    return rc;
}

/* Placements for all, on pages in a row. */
static int fill_place(struct file_store *s, size_t n, const uint64_t *offsets,
                      struct placement **made, uint32_t *first)
{
    size_t n_pages = 0;
    uint32_t page = 0;
    int rc = OK;

    for (size_t i = 0; i < n; i++)
        n_pages += pages_of((size_t)(offsets[i + 1] - offsets[i]));
    if (n_pages == 0)
        return OK;
    page = space_take(&s->space, n_pages, PAGE_NONE, false);
    if (page == PAGE_NONE) {
        rc = file_grow(s, s->space.total + n_pages);
        page = rc == OK ? space_take(&s->space, n_pages, PAGE_NONE, false) : page;
    }
    if (rc != OK)
        return rc;
    *first = page;
    for (size_t i = 0; i < n; i++) {
        const size_t k = pages_of((size_t)(offsets[i + 1] - offsets[i]));

        made[i] = k > 0 ? placement_make(&s->pool, k) : NULL;
        if (k > 0 && !made[i]) {
            for (size_t j = 0; j < i; j++)
                if (made[j])
                    placement_release(&s->pool, made[j]);
            for (size_t j = 0; j < n_pages; j++)
                space_give(&s->space, *first + (uint32_t)j);
            return fail(s->base.env.error, ERR_NO_MEMORY, "%s: no memory to fill %zu postings",
                        s->path, n);
        }
        for (size_t j = 0; j < k; j++)
            made[i]->pages[j] = (struct page_ref){ page++, 0 };
    }
    return OK;
}

static int fill_all(struct filling *f, const uint32_t *postings, size_t n,
                    const unsigned char *bytes, const uint64_t *offsets, struct placement **made)
{
    struct file_store *s = f->s;
    int rc;

    (void)pthread_mutex_lock(&s->lock);
    rc = fill_place(s, n, offsets, made, &f->page);
    (void)pthread_mutex_unlock(&s->lock);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < n && rc == OK; i++) {
        const size_t length = (size_t)(offsets[i + 1] - offsets[i]);

        if (length > 0)
            sum_pages(made[i], 0, bytes + offsets[i], length);
        rc = fill_put(f, bytes + offsets[i], length);
    }
    if (rc == OK && f->buffered > 0)
        rc = fill_flush(f);
    for (size_t i = 0; i < n; i++) {
        if (rc == OK) {
            publish(s, postings[i], made[i], directory_get(&s->directory, postings[i]), 0);
        } else if (made[i]) {
            (void)pthread_mutex_lock(&s->lock);
            unplace(s, made[i], 0);
            (void)pthread_mutex_unlock(&s->lock);
        }
    }
    return rc;
}

static int file_fill(struct posting_store *store, const uint32_t *postings, size_t n,
                     const void *bytes, const uint64_t *offsets)
{
    struct file_store *s = file_of(store);
    struct mem *mem = store->env.mem;
    struct placement **made = mem_array(mem, n, sizeof(struct placement *));
    struct filling f = { .s = s, .buffer = mem_alloc(mem, FILL_BYTES) };
    bool ready = made && f.buffer;
    int rc = OK;

    for (size_t i = 0; i < n && rc == OK; i++) {
        ready = ready && directory_reserve(&s->directory, postings[i]);
        if (offsets[i + 1] - offsets[i] > UINT32_MAX)
            rc = fail(store->env.error, ERR_ARGUMENT,
                      "posting %" PRIu32 ": %" PRIu64 " bytes, and it may have %" PRIu32,
                      postings[i], offsets[i + 1] - offsets[i], UINT32_MAX);
    }
    if (rc == OK && !ready)
        rc =
            fail(store->env.error, ERR_NO_MEMORY, "%s: no memory to fill %zu postings", s->path, n);
    if (rc == OK)
        rc = fill_all(&f, postings, n, bytes, offsets, made);
    if (rc == OK) {
        COUNT_ADD(s->splices, n);
        COUNT_ADD(s->bytes_given, offsets[n] - offsets[0]);
    }
    mem_free(mem, f.buffer);
    mem_free(mem, made);
    return rc;
}

/* ---- reports */

static void file_counts(const struct posting_store *store, struct posting_counts *c)
{
    struct file_store *s = file_of(store);

    c->splices = COUNT_GET(s->splices);
    c->drops = COUNT_GET(s->drops);
    c->reads = COUNT_GET(s->reads);
    c->pages_read = COUNT_GET(s->pages_read);
    c->bytes_read = COUNT_GET(s->bytes_read);
    c->pages_written = COUNT_GET(s->pages_written);
    c->bytes_written = COUNT_GET(s->bytes_written);
    c->bytes_given = COUNT_GET(s->bytes_given);
    c->late = COUNT_GET(s->late);
    c->direct = s->direct_fd >= 0;
    c->uring = queue_is_uring(s);
    (void)pthread_mutex_lock(&s->lock);
    c->pages_total = s->space.total;
    c->pages_free = s->space.n_free;
    c->pages_parked = s->space.n_parked;
    (void)pthread_mutex_unlock(&s->lock);
    c->pages_used = c->pages_total - c->pages_free - c->pages_parked;
}

static uint64_t file_resident(const struct posting_store *store)
{
    struct file_store *s = file_of(store);
    uint64_t bytes = sizeof *s + directory_bytes(&s->directory) + stable_bytes(&s->segments) +
                     COUNT_GET(s->reader_bytes) + strlen(s->path) + 1;

    (void)pthread_mutex_lock(&s->lock);
    bytes += s->pool.bytes + space_bytes(&s->space);
    (void)pthread_mutex_unlock(&s->lock);
    return bytes;
}

/* What the file takes of the disk: pages never written to are holes. */
static uint64_t file_disk(const struct posting_store *store)
{
    struct stat st;

    return fstat(file_of(store)->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

const struct posting_ops posting_file_ops = {
    .name = "file",
    .open = file_open,
    .close = file_close,
    .splice = file_splice,
    .drop = file_drop,
    .fill = file_fill,
    .length = file_length,
    .fetch = file_fetch_posting,
    .reader_create = file_reader_create,
    .reader_destroy = file_reader_destroy,
    .read = file_read_some,
    .next = file_next,
    .freeze = file_freeze,
    .sync = file_sync,
    .durable = file_durable,
    .unfreeze = file_unfreeze,
    .keep_both = file_keep_both,
    .counts = file_counts,
    .resident = file_resident,
    .disk = file_disk,
    .check = file_check,
};
