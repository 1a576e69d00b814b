/* code_store.c - contiguous rows, and the table that finds them by id. */
#include "algorithms/common/codes/code_store.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "algorithms/common/durable/store_file.h"
#include "src/core/device/copy.h"
#include "src/core/error.h"
#include "src/core/mem.h"

#define SHRINK_FROM 1024 /* rows; smaller arrays are not shrunk */

void code_store_init(struct code_store *s, struct mem *mem, size_t words)
{
    *s = (struct code_store){ .mem = mem, .words = words };
    slot_table_init(&s->slot_of, mem);
}

void code_store_free(struct code_store *s)
{
    mem_free(s->mem, s->codes);
    mem_free(s->mem, s->ids);
    slot_table_free(&s->slot_of);
    struct cuda_copy *copy = s->copy;
    code_store_init(s, s->mem, s->words);
    s->copy = copy;
}

static bool reserve(struct code_store *s, size_t n)
{
    return mem_grow(s->mem, &s->codes, &s->codes_capacity, n, s->words * sizeof *s->codes) &&
           mem_grow(s->mem, &s->ids, &s->ids_capacity, n, sizeof *s->ids);
}

bool code_store_reserve(struct code_store *s, const uint64_t *ids, size_t n, size_t expected_n)
{
    if (n >= UINT32_MAX - s->n)
        return false;
    /* The hint avoids the spare half of doubling. If it exceeds the memory, growing by need may
       still succeed. */
    const size_t need = s->n + n;
    return ((need <= expected_n && s->codes_capacity < need && reserve(s, expected_n)) ||
            reserve(s, need)) &&
           slot_table_reserve(&s->slot_of, s->ids, ids, n);
}

static void copy_code(uint64_t *to, const uint64_t *from, size_t words)
{
    *to = *from;
    if (words > 1)
        memcpy(to + 1, from + 1, (words - 1) * sizeof *to);
}

uint32_t code_store_add(struct code_store *s, const uint64_t *code, uint64_t id)
{
    assert(s->n < s->codes_capacity && s->n < s->ids_capacity);
    const uint32_t row = (uint32_t)s->n++;
    copy_code(s->codes + row * s->words, code, s->words);
    s->ids[row] = id;
    slot_table_put(&s->slot_of, id, row);
    if (s->n > s->most)
        s->most = s->n;
    return row;
}

bool code_store_find(const struct code_store *s, uint64_t id, uint32_t *row)
{
    return slot_table_get(&s->slot_of, s->ids, id, row);
}

/* Shrinks an array of `capacity` to n; if that fails it stays as it is. */
static void cut(struct mem *mem, uint64_t **array, size_t *capacity, size_t n, size_t each)
{
    if (n < *capacity && mem_fit(mem, array, n, each))
        *capacity = n;
}

static void shrink(struct code_store *s)
{
    if (s->n == 0) {
        code_store_free(s);
        return;
    }
    cut(s->mem, &s->codes, &s->codes_capacity, s->n + s->n / 4, s->words * sizeof *s->codes);
    cut(s->mem, &s->ids, &s->ids_capacity, s->n + s->n / 4, sizeof *s->ids);
    (void)slot_table_pack(&s->slot_of, s->ids);
    s->most = s->n;
}

void code_store_remove(struct code_store *s, uint32_t row)
{
    uint32_t was;
    const bool there = slot_table_remove(&s->slot_of, s->ids, s->ids[row], &was);
    assert(there && was == row);
    (void)there;
    const size_t last = --s->n;
    if (row != last) {
        copy_code(s->codes + row * s->words, code_store_at(s, last), s->words);
        s->ids[row] = s->ids[last];
        slot_table_move(&s->slot_of, s->ids[row], (uint32_t)last, row);
    }
    if (s->copy)
        cuda_copy_note(s->copy, row, s->n);
    if (s->n == 0 || (s->most >= SHRINK_FROM && s->n < s->most / 4))
        shrink(s);
}

size_t code_store_codes_bytes(const struct code_store *s)
{
    return s->codes_capacity * s->words * sizeof *s->codes;
}

size_t code_store_ids_bytes(const struct code_store *s)
{
    return s->ids_capacity * sizeof *s->ids + slot_table_bytes(&s->slot_of);
}

int code_store_check(const struct code_store *s, const char *method, struct error *error)
{
    if (s->n > s->codes_capacity || s->n > s->ids_capacity)
        return fail(error, ERR_INVARIANT, "%s: %zu rows in space for %zu codes and %zu ids", method,
                    s->n, s->codes_capacity, s->ids_capacity);
    if (s->slot_of.n != s->n)
        return fail(error, ERR_INVARIANT, "%s: %zu rows, but the table has %zu ids", method, s->n,
                    s->slot_of.n);
    for (size_t i = 0; i < s->n; i++) {
        uint32_t row = UINT32_MAX;
        if (!code_store_find(s, s->ids[i], &row) || row != i)
            return fail(error, ERR_INVARIANT,
                        "%s: row %zu holds id %" PRIu64 ", which the table has at %" PRIu32, method,
                        i, s->ids[i], row);
    }
    return OK;
}

struct values {
    size_t n, words;
    const uint64_t *ids, *codes;
};

static int fields(struct store_fields *f, struct values *v)
{
    store_field_whole(f, "ids", &v->ids, &v->n, sizeof *v->ids);
    return store_field(f, "codes", &v->codes, v->n, v->words * sizeof *v->codes);
}

void code_store_save(const struct code_store *s, struct store_writer *w)
{
    (void)fields(&(struct store_fields){ .w = w },
                 &(struct values){ s->n, s->words, s->ids, s->codes });
}

int code_store_load(struct code_store *s, const struct store_reader *r)
{
    struct values v = { .words = s->words };
    const int rc = fields(&(struct store_fields){ .r = r }, &v);
    if (rc != OK || v.n == 0)
        return rc;
    if (!code_store_reserve(s, v.ids, v.n, 0))
        return fail(r->error, ERR_NO_MEMORY, "load: out of memory for %zu codes", v.n);
    memcpy(s->ids, v.ids, v.n * sizeof *v.ids);
    memcpy(s->codes, v.codes, v.n * v.words * sizeof *v.codes);
    s->n = s->most = v.n;
    return store_take_ids(r, s->ids, v.n, v.n, &s->slot_of);
}
