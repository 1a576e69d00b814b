/* lists.c - the copies of rows in lists. Codes are dense blocks, so that a scan needs no mask but
 * for the last one. */
#include <string.h>

#include "algorithms/scann/scann.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

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

/* A sum of errors is made again when so small a part of it is left. */
#define ROUNDED 1e-6

/* Codes of fewer rows are made by one thread. */
enum { FEW_ROWS = 256 };

/* Rows in their lists, and their codes still to be made. */
struct filing {
    struct scann_lists *lists;
    const float *rows; /* of slot 0 on */
    size_t dim;
    uint32_t first; /* slot: those from it on have no codes */
};

static void encode(const struct filing *f, uint32_t list, size_t at)
{
    struct scann_lists *lists = f->lists;
    struct scann_list *l = &lists->list[list];
    (void)quantizer_put(lists->quantizer, f->rows + l->slots[at] * f->dim,
                        lists->centroids + list * f->dim, scann_block(lists, l, at),
                        at % QUANTIZER_BLOCK);
}

/* A list by one thread, because rows of a block share bytes. New copies are its last. */
static int encode_lists(void *arg, size_t first, size_t end, size_t worker)
{
    const struct filing *f = arg;
    (void)worker;
    for (size_t l = first; l < end; l++) {
        const struct scann_list *list = &f->lists->list[l];
        for (size_t at = list->n; at > 0 && list->slots[at - 1] >= f->first; at--)
            encode(f, (uint32_t)l, at - 1);
    }
    return OK;
}

static void encode_rows(const struct filing *f, size_t n)
{
    for (size_t i = 2 * (size_t)f->first; i < 2 * (f->first + n); i++)
        if (f->lists->places[i].list != NO_LIST)
            encode(f, f->lists->places[i].list, f->lists->places[i].at);
}

double scann_error(const struct index_env *env, const struct scann_lists *lists, const float *row,
                   uint32_t list)
{
    return (double)env->kernels->l2sq_f32(row, lists->centroids + list * env->dim, env->dim);
}

/* Gives a slot places in its lists, without codes. false: out of memory, in none. */
static bool place(const struct index_env *env, struct scann_lists *lists, const float *row,
                  uint32_t slot, const uint32_t list[2])
{
    struct scann_place *places = lists->places + 2 * (size_t)slot;
    for (size_t c = 0; c < 2; c++)
        if (list[c] != NO_LIST && !reserve_one(env, lists, &lists->list[list[c]]))
            return false;
    places[0] = places[1] = (struct scann_place){ NO_LIST, 0 };
    for (size_t c = 0; c < 2; c++) {
        if (list[c] == NO_LIST)
            continue;
        struct scann_list *l = &lists->list[list[c]];
        places[c] = (struct scann_place){ list[c], (uint32_t)l->n };
        lists->empty -= l->n == 0;
        l->slots[l->n++] = slot;
        l->error += scann_error(env, lists, row, list[c]);
        lists->copies++;
    }
    return true;
}

int scann_file(const struct index_env *env, struct scann_lists *lists, const float *rows,
               uint32_t first, size_t n, const uint32_t *list, size_t *filed)
{
    struct filing f = { lists, rows, env->dim, first };
    for (*filed = 0; *filed < n; ++*filed)
        if (!place(env, lists, rows + (first + *filed) * env->dim, first + (uint32_t)*filed,
                   list + 2 * *filed))
            break;
    if (*filed >= FEW_ROWS && pool_threads(env->pool) > 1)
        (void)parallel_for(env->pool, pool_threads(env->pool), lists->n, 1, encode_lists, &f);
    else
        encode_rows(&f, *filed);
    return *filed == n ? OK : fail(env->error, ERR_NO_MEMORY, "scann: out of memory for a list");
}

/* Of the two places of a slot, the one in a list. */
static struct scann_place *place_in(const struct scann_lists *lists, uint32_t slot, uint32_t list)
{
    struct scann_place *places = lists->places + 2 * (size_t)slot;
    return places[0].list == list ? places : places + 1;
}

double scann_errors(const struct index_env *env, const struct scann_lists *lists, const float *rows,
                    uint32_t list)
{
    const struct scann_list *l = &lists->list[list];
    double sum = 0;
    for (size_t i = 0; i < l->n; i++)
        sum += scann_error(env, lists, rows + l->slots[i] * env->dim, list);
    return sum;
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

/* Beside the error of a row much farther than those that stay, their sum was rounded: it is made again. */
static void remove_error(const struct index_env *env, struct scann_lists *lists, const float *rows,
                         uint32_t list, double error)
{
    struct scann_list *l = &lists->list[list];
    l->error -= error;
    if (!(l->error > ROUNDED * error))
        l->error = scann_errors(env, lists, rows, list);
}

void scann_unfile(const struct index_env *env, struct scann_lists *lists, const float *rows,
                  uint32_t slot)
{
    for (size_t c = 0; c < 2; c++) {
        const struct scann_place place = lists->places[2 * (size_t)slot + c];
        if (place.list == NO_LIST)
            continue;
        const double error = scann_error(env, lists, rows + slot * env->dim, place.list);
        remove_copy(lists, place);
        remove_error(env, lists, rows, place.list, error);
    }
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
