/* save.c - not written yet. */
#include "algorithms/asteria/asteria.h"

int asteria_save(struct index *a0, const char *dir)
{
    (void)a0;
    (void)dir;
    return ERR_UNSUPPORTED;
}

int asteria_load(struct index **a0, const struct index_env *a1, const char *dir)
{
    (void)a0;
    (void)a1;
    (void)dir;
    return ERR_UNSUPPORTED;
}

int asteria_log_insert(struct asteria *a0, struct vectors a1, const uint64_t *ids, size_t n)
{
    (void)a0;
    (void)a1;
    (void)ids;
    (void)n;
    return ERR_UNSUPPORTED;
}

int asteria_log_remove(struct asteria *a0, const uint64_t *ids, size_t n)
{
    (void)a0;
    (void)ids;
    (void)n;
    return ERR_UNSUPPORTED;
}

int asteria_checkpoint(struct asteria *a0)
{
    (void)a0;
    return ERR_UNSUPPORTED;
}

int asteria_log_create(struct asteria *a0, const struct asteria_opening *a1)
{
    (void)a0;
    (void)a1;
    return OK;
}

int asteria_log_start(struct asteria *a0)
{
    (void)a0;
    return OK;
}

void asteria_log_destroy(struct asteria *a0)
{
    (void)a0;
}

bool asteria_log_is_long(const struct asteria *a0)
{
    (void)a0;
    return false;
}
