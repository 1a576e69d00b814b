/* lists.c - the copies of rows in lists. Codes are dense blocks, so that a scan needs no mask but
 * for the last one. */
#include <string.h>

#include "algorithms/scann/scann.h"
#include "src/core/mem.h"

void scann_lists_free(const struct index_env *env, struct scann_lists *lists)
{
    for (size_t i = 0; lists->list && i < lists->n; i++) {
        mem_free(env->mem, lists->list[i].slots);
        mem_free(env->mem, lists->list[i].codes);
    }
    quantizer_destroy(env, lists->quantizer);
    mem_free(env->mem, lists->list);
    mem_free(env->mem, lists->centroids);
    mem_free(env->mem, lists->places);
    *lists = (struct scann_lists){ 0 };
}

bool scann_places_reserve(const struct index_env *env, struct scann_lists *lists, size_t slots)
{
    return mem_grow(env->mem, &lists->places, &lists->places_capacity, slots,
                    2 * sizeof *lists->places);
}

static bool reserve_one(const struct index_env *env, const struct scann_lists *lists,
                        struct scann_list *l)
{
    const size_t block_bytes = lists->quantizer->block_bytes;
    const size_t need = (l->n / QUANTIZER_BLOCK + 1) * block_bytes, before = l->codes_capacity;
    if (!mem_grow(env->mem, &l->slots, &l->slots_capacity, l->n + 1, sizeof *l->slots) ||
        !mem_grow(env->mem, &l->codes, &l->codes_capacity, need, 1))
        return false;
    memset(l->codes + before, 0, l->codes_capacity - before); /* a scan reads whole blocks */
    return true;
}

static void add_copy(struct scann_lists *lists, const float *row, size_t dim, uint32_t slot,
                     size_t which, uint32_t list)
{
    struct scann_list *l = &lists->list[list];
    (void)quantizer_put(lists->quantizer, row, lists->centroids + list * dim,
                        scann_block(lists, l, l->n), l->n % QUANTIZER_BLOCK);
    lists->places[2 * (size_t)slot + which] = (struct scann_place){ list, (uint32_t)l->n };
    lists->empty -= l->n == 0;
    l->slots[l->n++] = slot;
    lists->copies++;
}

int scann_file(const struct index_env *env, struct scann_lists *lists, const float *row,
               uint32_t slot, const uint32_t list[2])
{
    struct scann_place *places = lists->places + 2 * (size_t)slot;
    for (size_t c = 0; c < 2; c++)
        if (list[c] != NO_LIST && !reserve_one(env, lists, &lists->list[list[c]]))
            return fail(env->error, ERR_NO_MEMORY, "scann: out of memory for a list");
    places[0] = places[1] = (struct scann_place){ NO_LIST, 0 };
    for (size_t c = 0; c < 2; c++)
        if (list[c] != NO_LIST)
            add_copy(lists, row, env->dim, slot, c, list[c]);
    return OK;
}

/* Of the two places of a slot, the one in a list. */
static struct scann_place *place_in(const struct scann_lists *lists, uint32_t slot, uint32_t list)
{
    struct scann_place *places = lists->places + 2 * (size_t)slot;
    return places[0].list == list ? places : places + 1;
}

static void remove_copy(struct scann_lists *lists, struct scann_place place)
{
    struct scann_list *l = &lists->list[place.list];
    const size_t last = --l->n;
    lists->copies--;
    lists->empty += last == 0;
    if (place.at == last)
        return;
    quantizer_copy(lists->quantizer, scann_block(lists, l, last), last % QUANTIZER_BLOCK,
                   scann_block(lists, l, place.at), place.at % QUANTIZER_BLOCK);
    l->slots[place.at] = l->slots[last];
    place_in(lists, l->slots[last], place.list)->at = place.at;
}

void scann_unfile(struct scann_lists *lists, uint32_t slot)
{
    for (size_t c = 0; c < 2; c++)
        if (lists->places[2 * (size_t)slot + c].list != NO_LIST)
            remove_copy(lists, lists->places[2 * (size_t)slot + c]);
}

void scann_renumber(struct scann_lists *lists, uint32_t from, uint32_t to)
{
    for (size_t c = 0; c < 2; c++) {
        const struct scann_place place = lists->places[2 * (size_t)from + c];
        lists->places[2 * (size_t)to + c] = place;
        if (place.list != NO_LIST)
            lists->list[place.list].slots[place.at] = to;
    }
}
