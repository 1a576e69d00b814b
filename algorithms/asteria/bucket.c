/* bucket.c - not written yet. */
#include "algorithms/asteria/bucket.h"

uint32_t bucket_add(struct generation *a0, const struct index_env *a1, uint32_t bucket,
                    const struct encoding *a3, uint32_t slot)
{
    (void)a0;
    (void)a1;
    (void)bucket;
    (void)a3;
    (void)slot;
    return 0;
}

void bucket_remove(struct generation *a0, uint32_t bucket, uint32_t position)
{
    (void)a0;
    (void)bucket;
    (void)position;
}

bool bucket_is_due(const struct bucket *a0)
{
    (void)a0;
    return false;
}

int bucket_rewrite(struct asteria *a0, struct generation *a1, uint32_t bucket)
{
    (void)a0;
    (void)a1;
    (void)bucket;
    return ERR_UNSUPPORTED;
}
