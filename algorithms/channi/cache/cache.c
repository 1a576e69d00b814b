/* cache.c - opens the cache, adds and removes files, reports. */

#include <sys/resource.h>

#include "algorithms/channi/cache/internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

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
        if (!channi_cache_keep(c, s, hot, b->hot_bytes, &image))
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
        block = channi_cache_expel(c, s);
    channi_cache_file_close(c, s);
    TAILQ_REMOVE(&c->all, s, all);
    (void)pthread_mutex_unlock(&c->lock);
    mem_free(c->env.mem, block);
    mem_free(c->env.mem, s);
    b->slot = NULL;
}

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
    if (n_clock != resident || n_clock != c->n_clock || n_open != open || n_open != c->n_open ||
        c->n_busy > 0)
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
