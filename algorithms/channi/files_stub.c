/* files_stub.c - weak ones until cluster_file.c and cache.c are there; to be removed then. */
#include "algorithms/channi/cache.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma weak cache_whole
#pragma weak cache_whole_done
#pragma weak cache_join
#pragma weak cluster_block_make
#pragma weak cluster_block_write
#pragma weak cluster_file_head
#pragma weak cluster_file_name
#pragma weak fetch_create
#pragma weak fetch_ask
#pragma weak fetch_ahead
#pragma weak fetch_next
#pragma weak fetch_done
#pragma weak cache_rows

int cache_whole(struct cache *a0, struct base *a1, struct whole *a2)
{
    return ERR_UNSUPPORTED;
}

void cache_whole_done(struct cache *a0, struct whole *a1) {}

int cache_join(struct cache *a0, struct base *a1, unsigned char *hot)
{
    return ERR_UNSUPPORTED;
}

int cluster_block_make(const struct index_env *a0, const struct cluster_contents *a1,
                       struct cluster_block *a2)
{
    return ERR_UNSUPPORTED;
}

int cluster_block_write(const struct index_env *a0, const struct cluster_contents *a1,
                        const struct cluster_block *a2, bool durable, const struct store_fault *a4)
{
    return ERR_UNSUPPORTED;
}

int cluster_file_head(const struct index_env *a0, uint64_t phash, uint64_t version,
                      struct base *out)
{
    return ERR_UNSUPPORTED;
}

void cluster_file_name(uint64_t phash, uint64_t version, char name[CLUSTER_NAME_MAX]) {}

struct fetch *fetch_create(struct cache *a0)
{
    return NULL;
}

int fetch_ask(struct fetch *a0, struct base *const *a1, size_t n)
{
    return ERR_UNSUPPORTED;
}

int fetch_ahead(struct fetch *a0, struct base *const *a1, size_t n)
{
    return ERR_UNSUPPORTED;
}

bool fetch_next(struct fetch *a0, size_t *i, const struct image **image, int *rc)
{
    return false;
}

void fetch_done(struct fetch *a0) {}

int cache_rows(struct cache *a0, struct fetch *a1, const struct base *a2, const uint32_t *rows,
               size_t n, void *out)
{
    return ERR_UNSUPPORTED;
}

#pragma weak cache_counts
void cache_counts(const struct cache *a0, struct cache_counts *a1) {}
