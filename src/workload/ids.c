/* ids.c - the recorder's ids: assigns ids to rows and maintains the live set. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/workload/internal.h"

void record_set_live(struct recorder *r, uint64_t id, bool live)
{
    const uint64_t bit = (uint64_t)1 << (id & 63);
    if (live)
        r->now.live.bits[id >> 6] |= bit;
    else
        r->now.live.bits[id >> 6] &= ~bit;
    r->now.live.n += live ? 1 : (size_t)-1;
}

/* The page of a row, or NULL: no row of it has an id; with `make`, out of memory. */
static uint64_t *page_of(struct idmap *pages, size_t row, bool make)
{
    uint64_t at;
    if (idmap_get(pages, row / ROW_PAGE, &at))
        return (uint64_t *)(uintptr_t)at;
    uint64_t *made = make ? mem_zalloc(NULL, ROW_PAGE * sizeof *made) : NULL;
    if (made && idmap_put(pages, row / ROW_PAGE, (uint64_t)(uintptr_t)made))
        return made;
    mem_free(NULL, made);
    return NULL;
}

/* The ids of a view's rows. A row without an id gets a new one if `name` is true, else
   INDEX_NO_ID. */
static int ids_of_view(struct recorder *r, const struct view *v, bool name, uint64_t *ids,
                       struct error *err)
{
    uint64_t next = r->list->n_ids;

    for (size_t k = 0; k < v->n_segments; k++) {
        const struct segment *s = &v->segments[k];
        struct idmap *pages = &r->pages[record_dataset(r, s->source)];
        uint64_t *page = NULL;

        for (size_t i = 0, row, before = SIZE_MAX; i < s->n; i++, before = row) {
            row = s->order ? (size_t)s->order[i] : s->first + i;
            if (row / ROW_PAGE != before / ROW_PAGE)
                page = page_of(pages, row, name);
            if (name && !page)
                return record_no_memory(err);
            if (name && page[row % ROW_PAGE] == 0)
                page[row % ROW_PAGE] = ++next;
            ids[s->at + i] = page && page[row % ROW_PAGE] ? page[row % ROW_PAGE] - 1 : INDEX_NO_ID;
        }
    }
    if (!mem_grow(NULL, &r->born, &r->born_capacity, (size_t)next, sizeof *r->born))
        return record_no_memory(err);
    r->list->n_ids = (size_t)next;
    return live_state_grow(&r->now, err);
}

int record_fail_row(struct recorder *r, const struct view *v, size_t i, uint64_t id,
                    const char *what, struct error *err)
{
    size_t row;
    const struct source *source = view_row(v, i, &row);
    const char *name = r->list->datasets[record_dataset(r, source)].name;
    if (id == INDEX_NO_ID)
        return fail(err, ERR_CONFIG, "row %zu of %s %s", row + 1, name, what);
    return fail(err, ERR_CONFIG, "row %zu of %s (id %" PRIu64 ") %s", row + 1, name, id, what);
}

void record_ids_of(struct recorder *r, const struct view *v, uint64_t *ids)
{
    (void)ids_of_view(r, v, false, ids, NULL);
}

uint64_t *record_new_ids(struct recorder *r, size_t n, struct error *err)
{
    if (n > (RECORD_BYTES_MAX - r->bytes) / sizeof(uint64_t)) {
        fail(err, ERR_CONFIG, "the workload has more than %zu million rows and ids in all",
             RECORD_BYTES_MAX / sizeof(uint64_t) / 1000000);
        return NULL;
    }
    r->bytes += n * sizeof(uint64_t);
    uint64_t *ids = malloc((n ? n : 1) * sizeof *ids);
    if (!ids)
        record_no_memory(err);
    return ids;
}

int record_make_live(struct recorder *r, const struct view *v, uint64_t *ids, struct error *err)
{
    const int rc = ids_of_view(r, v, true, ids, err);
    if (rc)
        return rc;
    if (!mem_grow(NULL, &r->log, &r->log_capacity, r->log_n + v->n, sizeof *r->log))
        return record_no_memory(err);
    for (size_t i = 0; i < v->n; i++) {
        if (live_has(&r->now.live, ids[i]))
            return record_fail_row(r, v, i, ids[i],
                                   "is live already; delete it first, or use w:update", err);
        record_set_live(r, ids[i], true);
        r->born[ids[i]] = r->log_n;
        r->log[r->log_n++] = ids[i];
    }
    if (r->now.live.n > r->list->max_live && !r->in_transaction)
        r->list->max_live = r->now.live.n;
    r->changed = true;
    return OK;
}
