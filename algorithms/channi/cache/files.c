/* files.c - open descriptors: files stay open between reads, up to a limit; beyond it the least
 * recently used file is closed. */
#define _GNU_SOURCE /* O_DIRECT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "algorithms/channi/cache/internal.h"
#include "src/core/error.h"

void channi_cache_file_close(struct channi_cache *c, struct channi_cache_slot *s)
{
    if (s->fd < 0)
        return;
    TAILQ_REMOVE(&c->open, s, open);
    c->n_open--;
    /* close() releases the descriptor even if it fails, and the file was only read. */
    (void)file_faulted(c->options.fault, "close");
    (void)close(s->fd);
    s->fd = -1;
}

/* Closes the least recently used file without users. false: all have users. */
static bool close_one(struct channi_cache *c)
{
    struct channi_cache_slot *s;

    TAILQ_FOREACH(s, &c->open, open)
        if (s->fd_users == 0) {
            channi_cache_file_close(c, s);
            return true;
        }
    return false;
}

/* Some file systems accept O_DIRECT and then refuse the read; the first file shows it. */
static int open_file(struct channi_cache *c, const char *path)
{
    if (file_faulted(c->options.fault, "open"))
        return -1;
    if (atomic_load(&c->direct)) {
        const int fd = atomic_load(&c->direct_known) ? open(path, O_RDONLY | O_CLOEXEC | O_DIRECT)
                                                     : file_open_direct(path, 0);

        if (fd >= 0 || (errno != EINVAL && errno != EOPNOTSUPP)) {
            atomic_store(&c->direct_known, fd >= 0 || atomic_load(&c->direct_known));
            return fd;
        }
        atomic_store(&c->direct, false);
    }
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Opens the slot's file. The lock is held. FILE_LATER: no descriptor is left, and none of ours can
   be closed. FILE_FAILED: see errno. */
static enum channi_file_answer open_slot(struct channi_cache *c, struct channi_cache_slot *s,
                                         const char *path)
{
    bool none;

    while (c->n_open >= c->files_max && close_one(c))
        ;
    if (c->n_open >= c->files_max)
        return FILE_LATER;
    do {
        s->fd = open_file(c, path);
        none = s->fd < 0 && (errno == EMFILE || errno == ENFILE);
    } while (none && close_one(c));
    if (s->fd < 0)
        return none ? FILE_LATER : FILE_FAILED;
    TAILQ_INSERT_TAIL(&c->open, s, open);
    c->n_open++;
    return FILE_OPEN;
}

/* The lock is held. Waiting ends: other threads' reads complete without this thread. */
static enum channi_file_answer take(struct channi_cache *c, struct channi_cache_slot *s,
                                    const char *path, bool wait)
{
    while (s->fd < 0) {
        const enum channi_file_answer answer = open_slot(c, s, path);

        if (answer == FILE_FAILED || (answer == FILE_LATER && (!wait || c->n_busy == 0)))
            return answer;
        if (answer == FILE_LATER)
            (void)pthread_cond_wait(&c->file_free, &c->lock);
    }
    TAILQ_REMOVE(&c->open, s, open);
    TAILQ_INSERT_TAIL(&c->open, s, open);
    c->n_busy += s->fd_users++ == 0;
    return FILE_OPEN;
}

enum channi_file_answer channi_cache_file_take(struct channi_cache *c, struct channi_cache_slot *s,
                                               bool wait, int *rc)
{
    char path[PATH_MAX];
    enum channi_file_answer answer = FILE_FAILED;

    *rc = OK;
    (void)pthread_mutex_lock(&c->lock);
    if (s->fd < 0)
        *rc = channi_cluster_file_path(&c->env, s->base->phash, s->base->version, path);
    if (*rc == OK)
        answer = take(c, s, path, wait);
    const int why = errno;
    if (answer == FILE_LATER && wait) {
        struct rlimit limit = { 0 };

        (void)getrlimit(RLIMIT_NOFILE, &limit);
        *rc = fail(c->env.error, ERR_IO,
                   "channi: cannot open %s: no descriptor is free: the process may have %" PRIu64
                   " (RLIMIT_NOFILE), the cache has %zu open and may have %zu; raise the limit "
                   "(ulimit -n)",
                   path, (uint64_t)limit.rlim_cur, c->n_open, c->files_max);
        answer = FILE_FAILED;
    }
    (void)pthread_mutex_unlock(&c->lock);
    if (answer == FILE_FAILED && *rc == OK) {
        errno = why;
        *rc = fail_errno(c->env.error, ERR_IO, "channi: cannot open the cluster file %s", path);
    }
    return answer;
}

void channi_cache_file_give(struct channi_cache *c, struct channi_cache_slot *s)
{
    (void)pthread_mutex_lock(&c->lock);
    if (--s->fd_users == 0) {
        c->n_busy--;
        (void)pthread_cond_broadcast(&c->file_free);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

int channi_cache_read_failed(const struct channi_cache *c, const struct channi_cache_slot *s,
                             uint64_t at, int error)
{
    const struct channi_file_name name = channi_base_name(s->base);

    if (error == READ_SHORT)
        return fail(c->env.error, ERR_CORRUPT,
                    "channi: %s/%s: the file ends at %" PRIu64
                    ", within its %s, expected %zu bytes; it is damaged",
                    c->env.dir, name.text, at, at < s->base->rows_at ? "hot part" : "rows",
                    s->base->file_bytes);
    errno = error;
    return fail_errno(c->env.error, ERR_IO,
                      "channi: cannot read the cluster file %s/%s at %" PRIu64, c->env.dir,
                      name.text, at);
}
