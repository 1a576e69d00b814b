/* cache.c - opens the cache, adds and removes files; their memory, by a clock hand that goes
 * round the resident slots and evicts those not used since it last passed; their descriptors, of
 * which the least recently used is closed; reports. internal.h describes pins. */
#define _GNU_SOURCE /* O_DIRECT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

#include "algorithms/channi/cache/internal.h"
#include "algorithms/common/io/read_queue.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* ---- the clock. The lock is held. */

static size_t charged(const struct channi_cache *c)
{
    return atomic_load_explicit(&((struct channi_cache *)(uintptr_t)c)->charged,
                                memory_order_relaxed);
}

static void charge(struct channi_cache *c, size_t bytes)
{
    atomic_store_explicit(&c->charged, charged(c) + bytes, memory_order_relaxed);
    if (charged(c) > c->budget && charged(c) - c->budget > c->over)
        c->over = charged(c) - c->budget;
}

static void discharge(struct channi_cache *c, size_t bytes)
{
    atomic_store_explicit(&c->charged, charged(c) - bytes, memory_order_relaxed);
}

/* Makes the slot not resident. No pin is left. Returns the block, to be freed. */
static unsigned char *expel(struct channi_cache *c, struct channi_cache_slot *s)
{
    unsigned char *block = s->block;

    TAILQ_REMOVE(&c->clock, s, clock);
    c->n_clock--;
    discharge(c, s->charge);
    s->block = NULL;
    s->image = (struct channi_image){ 0 }; /* makes use without a pin visible */
    return block;
}

/* Evicts until `more` bytes fit or the hand has gone round twice: all remaining slots
   are pinned. */
static void sweep(struct channi_cache *c, size_t more)
{
    for (size_t steps = 2 * c->n_clock;
         steps > 0 && c->n_clock > 0 && charged(c) + more > c->budget; steps--) {
        struct channi_cache_slot *s = TAILQ_FIRST(&c->clock);
        uint32_t unpinned = SLOT_RESIDENT;

        TAILQ_REMOVE(&c->clock, s, clock); /* the hand passes it */
        TAILQ_INSERT_TAIL(&c->clock, s, clock);
        if (atomic_exchange_explicit(&s->used, false, memory_order_relaxed))
            continue;
        if (!atomic_compare_exchange_strong_explicit(&s->state, &unpinned, 0, memory_order_acquire,
                                                     memory_order_relaxed))
            continue;
        channi_cache_count(&c->evictions, 1);
        channi_cache_count(&c->evicted_bytes, s->charge);
        mem_free(c->env.mem, expel(c, s));
    }
}

/* Image and block are set before the bit: from then on the slot can be pinned. */
static void make_resident(struct channi_cache *c, struct channi_cache_slot *s, unsigned char *block,
                          size_t bytes, const struct channi_image *image, uint32_t pins)
{
    s->image = *image;
    s->block = block;
    s->charge = bytes;
    atomic_store_explicit(&s->used, true, memory_order_relaxed);
    TAILQ_INSERT_TAIL(&c->clock, s, clock);
    c->n_clock++;
    (void)atomic_fetch_add_explicit(&s->state, SLOT_RESIDENT + pins, memory_order_release);
}

/* ---- memory, without the lock */

void channi_cache_trim(struct channi_cache *c)
{
    if (charged(c) <= c->budget)
        return;
    (void)pthread_mutex_lock(&c->lock);
    sweep(c, 0);
    (void)pthread_mutex_unlock(&c->lock);
}

void channi_cache_resize(struct channi_cache *c, size_t budget_bytes)
{
    (void)pthread_mutex_lock(&c->lock);
    c->budget = budget_bytes;
    (void)pthread_mutex_unlock(&c->lock);
    channi_cache_trim(c);
}

bool channi_cache_block_take(struct channi_cache *c, size_t n, struct channi_cache_block *b)
{
    b->charge = n + (c->options.direct ? CLUSTER_PAGE : 0);
    (void)pthread_mutex_lock(&c->lock);
    sweep(c, b->charge);
    charge(c, b->charge);
    (void)pthread_mutex_unlock(&c->lock);
    b->block = mem_alloc(c->env.mem, b->charge);
    if (!b->block) {
        channi_cache_block_drop(c, b);
        return false;
    }
    b->bytes = b->block + (c->options.direct ? -(uintptr_t)b->block & (CLUSTER_PAGE - 1) : 0);
    return true;
}

void channi_cache_block_drop(struct channi_cache *c, struct channi_cache_block *b)
{
    (void)pthread_mutex_lock(&c->lock);
    discharge(c, b->charge);
    (void)pthread_mutex_unlock(&c->lock);
    mem_free(c->env.mem, b->block);
    *b = (struct channi_cache_block){ 0 };
}

void channi_cache_install(struct channi_cache *c, struct channi_cache_slot *s,
                          struct channi_cache_block *b, const struct channi_image *image)
{
    bool first;

    (void)pthread_mutex_lock(&c->lock);
    first = !channi_slot_pin(s);
    if (first)
        make_resident(c, s, b->block, b->charge, image, 1);
    (void)pthread_mutex_unlock(&c->lock);
    if (first)
        *b = (struct channi_cache_block){ 0 };
    else
        channi_cache_block_drop(c, b);
}

/* Gives the slot a block that no search waits for, if it fits into the budget; else returns
   false, and the caller still owns the block. */
static bool keep(struct channi_cache *c, struct channi_cache_slot *s, unsigned char *block,
                 size_t n, const struct channi_image *image)
{
    (void)pthread_mutex_lock(&c->lock);
    sweep(c, n);
    const bool fits = charged(c) + n <= c->budget;
    if (fits) {
        charge(c, n);
        make_resident(c, s, block, n, image, 0);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return fits;
}

/* ---- descriptors */

/* The lock is held, and the file has no users. */
static void close_file(struct channi_cache *c, struct channi_cache_slot *s)
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
            close_file(c, s);
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

        /* Later: all open files have users, who signal when they are done. */
        if (answer == FILE_FAILED || (answer == FILE_LATER && (!wait || c->n_open == 0)))
            return answer;
        if (answer == FILE_LATER)
            (void)pthread_cond_wait(&c->file_free, &c->lock);
    }
    TAILQ_REMOVE(&c->open, s, open);
    TAILQ_INSERT_TAIL(&c->open, s, open);
    s->fd_users++;
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
    if (--s->fd_users == 0)
        (void)pthread_cond_broadcast(&c->file_free);
    (void)pthread_mutex_unlock(&c->lock);
}

/* ---- opening, adding and removing files */

static int no_memory(const struct index_env *env)
{
    return CHANNI_NO_MEMORY(env, " for the cluster cache");
}

int channi_cache_create(struct channi_cache **out, const struct index_env *env,
                        const struct channi_cache_options *options)
{
    const char *why = "";
    const bool uring = options->io != CACHE_IO_PREAD && read_queue_uring_usable(&why);
    struct channi_cache *c;
    struct rlimit limit;

    *out = NULL;
    if (options->io == CACHE_IO_URING && !uring)
        return fail(env->error, ERR_UNSUPPORTED,
                    "channi: io_uring cannot be used: %s; choose io = auto or pread", why);
    c = mem_zalloc(env->mem, sizeof *c);
    if (!c)
        return no_memory(env);
    c->env = *env;
    c->options = *options;
    c->budget = options->budget_bytes;
    c->files_max = options->files_max;
    if (c->files_max == 0) { /* the other half is for the program, the log and io_uring */
        const bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0;
        const size_t half = known ? (size_t)limit.rlim_cur / 2 : 512;

        c->files_max = half < 1 ? 1 : half < 65536 ? half : 65536;
    }
    c->uring = uring;
    atomic_init(&c->direct, options->direct);
    c->threads = read_threads_create(env->mem);
    if (!c->threads) {
        mem_free(env->mem, c);
        return no_memory(env);
    }
    TAILQ_INIT(&c->clock);
    TAILQ_INIT(&c->open);
    TAILQ_INIT(&c->all);
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->file_free, NULL);
    *out = c;
    return OK;
}

int channi_cache_join(struct channi_cache *c, struct channi_base *b, unsigned char *hot)
{
    struct channi_cache_slot *s = mem_zalloc(c->env.mem, sizeof *s);
    struct channi_image image;

    if (!s)
        return no_memory(&c->env);
    s->base = b;
    s->fd = -1;
    if (hot) { /* was just written */
        const int rc = channi_image_open(&image, &c->env, b, hot, b->hot_bytes, IMAGE_TRUST);

        if (rc != OK) {
            mem_free(c->env.mem, s);
            return rc;
        }
        if (!keep(c, s, hot, b->hot_bytes, &image))
            mem_free(c->env.mem, hot);
    }
    (void)pthread_mutex_lock(&c->lock);
    TAILQ_INSERT_TAIL(&c->all, s, all);
    (void)pthread_mutex_unlock(&c->lock);
    b->slot = s;
    return OK;
}

void channi_cache_leave(struct channi_cache *c, struct channi_base *b)
{
    struct channi_cache_slot *s = b->slot;
    unsigned char *block = NULL;

    if (!s)
        return;
    (void)pthread_mutex_lock(&c->lock);
    if (atomic_exchange(&s->state, 0) & SLOT_RESIDENT)
        block = expel(c, s);
    close_file(c, s);
    TAILQ_REMOVE(&c->all, s, all);
    (void)pthread_mutex_unlock(&c->lock);
    mem_free(c->env.mem, block);
    mem_free(c->env.mem, s);
    b->slot = NULL;
}

void channi_cache_destroy(struct channi_cache *c)
{
    if (!c)
        return;
    while (!TAILQ_EMPTY(&c->all))
        channi_cache_leave(c, TAILQ_FIRST(&c->all)->base);
    read_threads_destroy(c->threads);
    (void)pthread_cond_destroy(&c->file_free);
    (void)pthread_mutex_destroy(&c->lock);
    mem_free(c->env.mem, c);
}

/* ---- reports */

void channi_cache_counts(const struct channi_cache *cache, struct channi_cache_counts *out)
{
    struct channi_cache *c = (struct channi_cache *)(uintptr_t)cache;

    (void)pthread_mutex_lock(&c->lock);
#define COUNT(name) .name = atomic_load(&c->name)
    *out = (struct channi_cache_counts){
        CHANNI_CACHE_COUNTERS(COUNT),     .resident_bytes = atomic_load(&c->charged),
        .budget_bytes = c->budget,        .over_bytes = c->over,
        .files_open = c->n_open,          .uring = c->uring,
        .direct = atomic_load(&c->direct)
    };
#undef COUNT
    (void)pthread_mutex_unlock(&c->lock);
}

static int broken(const struct channi_cache *c, const struct channi_cache_slot *s, const char *what)
{
    return fail(c->env.error, ERR_INVARIANT, "channi: cache: %s: %s",
                channi_base_name(s->base).text, what);
}

int channi_cache_check(const struct channi_cache *c)
{
    const struct channi_cache_slot *s;
    size_t bytes = 0, resident = 0, open = 0, n_clock = 0, n_open = 0;

    TAILQ_FOREACH(s, &c->all, all) {
        const uint32_t state = atomic_load(&((struct channi_cache_slot *)(uintptr_t)s)->state);

        if (s->base->slot != s)
            return broken(c, s, "its slot is another's");
        if (state & ~SLOT_RESIDENT)
            return broken(c, s, "a pin is left");
        if (!(state & SLOT_RESIDENT) != !s->block)
            return broken(c, s, "it is resident, or has memory, but not both");
        if (s->fd_users > 0)
            return broken(c, s, "its descriptor is in use");
        bytes += s->block ? s->charge : 0;
        resident += s->block != NULL;
        open += s->fd >= 0;
    }
    TAILQ_FOREACH(s, &c->clock, clock)
        n_clock += s->block != NULL;
    TAILQ_FOREACH(s, &c->open, open)
        n_open += s->fd >= 0;
    if (n_clock != resident || n_clock != c->n_clock || n_open != open || n_open != c->n_open)
        return fail(c->env.error, ERR_INVARIANT,
                    "channi: cache: %zu files in memory and %zu open, listed %zu and %zu, counted "
                    "%zu and %zu",
                    resident, open, n_clock, n_open, c->n_clock, c->n_open);
    if (bytes != atomic_load(&((struct channi_cache *)(uintptr_t)c)->charged))
        return fail(c->env.error, ERR_INVARIANT, "channi: cache: %zu bytes in memory, counted %zu",
                    bytes, (size_t)atomic_load(&((struct channi_cache *)(uintptr_t)c)->charged));
    if (bytes > c->budget)
        return fail(c->env.error, ERR_INVARIANT,
                    "channi: cache: %zu bytes unpinned in memory, the budget is %zu", bytes,
                    c->budget);
    return OK;
}
