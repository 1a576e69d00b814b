/* manifest.c - not written yet. */
#include "algorithms/channi/channi.h"

#include "src/core/mem.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

int channi_checkpoint(struct channi *a0)
{
    return ERR_UNSUPPORTED;
}

bool channi_checkpoint_due(const struct channi *a0)
{
    return 0;
}

int channi_holds_index(const struct index_env *a0, const char *dir, bool *holds)
{
    *holds = false;
    return OK;
}

void channi_manifest_close(struct channi *s)
{
    for (size_t i = 0; i < s->n_kept; i++)
        base_unref(s, s->kept[i]);
    mem_free(s->base.env.mem, s->kept);
    s->kept = NULL;
    s->n_kept = s->kept_capacity = 0;
}

void base_unref(struct channi *s, struct base *base)
{
    const size_t before = atomic_fetch_sub_explicit(&base->refs, 1, memory_order_acq_rel);
    const bool kept = atomic_load(&base->in_manifest);

    if (before == 2 && kept)
        (void)atomic_fetch_add(&s->parked_bytes, base->file_bytes);
    if (before > 1)
        return;
    cache_leave(s->cache, base, !kept);
    mem_free(s->base.env.mem, base);
}
