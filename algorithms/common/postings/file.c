/* file.c - the block file: opening, reports, and the table of its functions. */
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
    struct mem *mem = s->base.env.mem;

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
    mem_free(mem, s->path);
    mem_free(mem, s);
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

static int file_open(struct posting_store **store, const struct index_env *env, struct epoch *epoch,
                     const struct posting_options *options, const struct store_reader *resume)
{
    struct file_store *s = mem_zalloc(env->mem, sizeof *s);
    int rc;

    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "postings: out of memory for a store");
    s->base = (struct posting_store){
        .ops = &posting_file_ops, .env = *env, .epoch = epoch, .options = *options
    };
    s->fd = s->direct_fd = -1;
    (void)pthread_mutex_init(&s->lock, NULL);
    directory_init(&s->directory, env->mem);
    segmented_init(&s->segments, env->mem, sizeof(void *));
    posting_extents_init(&s->space, env->mem);
    posting_placement_pool_init(&s->pool, env->mem);
    rc = open_files(s, resume != NULL);
    if (rc == OK)
        rc = posting_file_choose_io(s);
    if (rc == OK && resume)
        rc = posting_file_resume(s, resume);
    if (rc != OK) {
        epoch_drain(epoch);
        file_close(&s->base);
        return rc;
    }
    *store = &s->base;
    return OK;
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
    .open = file_open,
    .close = file_close,
    .splice = posting_file_splice,
    .drop = posting_file_drop,
    .length = posting_file_length,
    .fetch = posting_file_fetch_current,
    .reader_create = posting_file_reader_create,
    .reader_destroy = posting_file_reader_destroy,
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
