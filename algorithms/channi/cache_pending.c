/* cache_pending.c - stands in for cache.c until that lands; then this file goes. */
#include "algorithms/channi/cache.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

__attribute__((weak)) int cache_create(struct cache **out, const struct index_env *env,
                                       const struct cache_options *options)
{
    *out = NULL;
    return OK;
}

__attribute__((weak)) void cache_destroy(struct cache *cache) {}

__attribute__((weak)) void cache_leave(struct cache *cache, struct base *base, bool remove) {}

__attribute__((weak)) void fetch_destroy(struct fetch *fetch) {}

__attribute__((weak)) int cache_check(const struct cache *cache)
{
    return OK;
}

__attribute__((weak)) bool cluster_file_parse(const char *name, uint64_t *phash, uint64_t *version)
{
    return false;
}
