/* members.c - a posting read, written, appended to; heads made and removed; the locks of both. */
#include <sched.h>
#include <string.h>

#include "algorithms/spfresh/spfresh.h"
#include "src/core/mem.h"

/* --------------------------------------------------------------------------------- locks */

void spfresh_lock_posting(struct spfresh *s, uint32_t head)
{
    pthread_mutex_lock(&s->posting[head % SPFRESH_STRIPES]);
}

void spfresh_unlock_posting(struct spfresh *s, uint32_t head)
{
    pthread_mutex_unlock(&s->posting[head % SPFRESH_STRIPES]);
}

enum { LOCKED_MOST = 3 };

/* Distinct stripes of the heads, ascending. */
static size_t stripes_of(const uint32_t *heads, size_t n, uint32_t *stripes)
{
    size_t m = 0;

    for (size_t i = 0; i < n; i++) {
        const uint32_t stripe = heads[i] % SPFRESH_STRIPES;
        size_t at = 0;

        while (at < m && stripes[at] < stripe)
            at++;
        if (at < m && stripes[at] == stripe)
            continue;
        memmove(stripes + at + 1, stripes + at, (m - at) * sizeof *stripes);
        stripes[at] = stripe;
        m++;
    }
    return m;
}

void spfresh_lock_postings(struct spfresh *s, const uint32_t *heads, size_t n)
{
    uint32_t stripes[LOCKED_MOST + 1];
    const size_t m = stripes_of(heads, n, stripes);

    for (size_t i = 0; i < m; i++)
        pthread_mutex_lock(&s->posting[stripes[i]]);
}

void spfresh_unlock_postings(struct spfresh *s, const uint32_t *heads, size_t n)
{
    uint32_t stripes[LOCKED_MOST + 1];
    const size_t m = stripes_of(heads, n, stripes);

    for (size_t i = m; i-- > 0;)
        pthread_mutex_unlock(&s->posting[stripes[i]]);
}

/* ------------------------------------------------------------------------------- members */

void members_init(struct members *m, const struct spfresh *s)
{
    *m = (struct members){ .row_bytes = spfresh_row_bytes(s), .mem = s->base.env.mem };
}

void members_free(struct members *m)
{
    mem_free(m->mem, m->slots);
    mem_free(m->mem, m->versions);
    mem_free(m->mem, m->rows);
    m->slots = NULL;
    m->versions = NULL;
    m->rows = NULL;
    m->n = m->capacity = 0;
}

static bool lengthen(struct mem *mem, void *array, size_t bytes)
{
    void *longer = mem_resize(mem, *(void **)array, bytes);

    if (longer)
        *(void **)array = longer;
    return longer != NULL;
}

bool members_reserve(struct members *m, size_t n)
{
    if (n <= m->capacity)
        return true;
    const size_t more = n > 2 * m->capacity ? n : 2 * m->capacity;
    if (!lengthen(m->mem, &m->slots, more * sizeof *m->slots) ||
        !lengthen(m->mem, &m->versions, more * sizeof *m->versions) ||
        !lengthen(m->mem, &m->rows, more * m->row_bytes))
        return false;
    m->capacity = more;
    return true;
}

void members_add(struct members *m, uint32_t slot, unsigned version, const void *row)
{
    m->slots[m->n] = slot;
    m->versions[m->n] = (uint16_t)version;
    memcpy(m->rows + m->n * m->row_bytes, row, m->row_bytes);
    m->n++;
}

static int no_memory(const struct spfresh *s)
{
    return fail(s->base.env.error, ERR_NO_MEMORY, "%s: out of memory working on a posting",
                s->base.ops->name);
}

/* A move that failed half-way and was tried again has left the same entry twice. */
static bool is_repeated(const struct members *m, size_t kept, size_t i)
{
    for (size_t j = 0; j < kept; j++)
        if (m->slots[j] == m->slots[i] && m->versions[j] == m->versions[i])
            return true;
    return false;
}

static void keep_kept(struct spfresh *s, struct members *m)
{
    const bool repeats = atomic_load_explicit(&s->repeats, memory_order_relaxed);
    size_t to = 0;

    for (size_t i = 0; i < m->n; i++) {
        if (!spfresh_keeps(s, m->slots[i], m->versions[i]) || (repeats && is_repeated(m, to, i)))
            continue;
        if (to != i) {
            m->slots[to] = m->slots[i];
            m->versions[to] = m->versions[i];
            memcpy(m->rows + to * m->row_bytes, m->rows + i * m->row_bytes, m->row_bytes);
        }
        to++;
    }
    m->n = to;
}

/* ------------------------------------------------------------------------------ postings */

/* Entries first, so that rows of stale ones are not fetched. */
static int decode(struct spfresh *s, uint32_t head, bool kept, const void *bytes, size_t n_bytes,
                  struct members *m)
{
    const size_t n = atomic_load_explicit(&spfresh_head(s, head)->size, memory_order_relaxed);
    int rc = codec_decode(s->codec, bytes, n_bytes, n, m);

    if (rc != OK)
        return fail_within(s->base.env.error, "posting %u", (unsigned)head);
    if (kept)
        keep_kept(s, m);
    if (!codec_has_rows(s->codec))
        return OK;
    if (kept)
        return codec_rows_get(s->codec, m->slots, m->n, m->rows);
    /* A stale entry's slot may have no row any more: a saved copy has those of live slots alone. */
    for (size_t i = 0; rc == OK && i < m->n; i++)
        if (spfresh_version(s, m->slots[i]) == m->versions[i])
            rc = codec_rows_get(s->codec, &m->slots[i], 1, m->rows + i * m->row_bytes);
    return rc;
}

int spfresh_load(struct spfresh *s, uint32_t head, bool kept, struct members *m)
{
    const size_t n_bytes = posting_length(s->store, head);
    const size_t n = atomic_load_explicit(&spfresh_head(s, head)->size, memory_order_relaxed);
    unsigned char *bytes = NULL;
    int rc = OK;

    m->n = 0;
    if (n_bytes == 0)
        return OK;
    bytes = mem_alloc(s->base.env.mem, n_bytes);
    if (!bytes || !members_reserve(m, n))
        rc = no_memory(s);
    if (rc == OK)
        rc = posting_fetch(s->store, head, 0, n_bytes, bytes);
    if (rc == OK)
        rc = decode(s, head, kept, bytes, n_bytes, m);
    mem_free(s->base.env.mem, bytes);
    return rc;
}

int spfresh_put(struct spfresh *s, uint32_t head, const struct members *m)
{
    struct spfresh_head *h = spfresh_head(s, head);
    const size_t n_bytes = codec_bytes(s->codec, m->n);
    unsigned char *bytes = mem_alloc(s->base.env.mem, n_bytes);
    float error = 0;
    int rc = bytes ? OK : no_memory(s);

    if (rc == OK)
        rc = codec_encode(s->codec, graph_row(s->graph, head), m, 0, m->n, bytes, &error);
    if (rc == OK && error > atomic_load(&h->error))
        atomic_store(&h->error, error); /* before the codes that need it */
    if (rc == OK)
        rc = posting_splice(s->store, head, 0, bytes, n_bytes);
    if (rc == OK)
        atomic_store(&h->size, (uint32_t)m->n);
    mem_free(s->base.env.mem, bytes);
    return rc;
}

int spfresh_append(struct spfresh *s, uint32_t head, const struct members *m, size_t first,
                   size_t n)
{
    struct spfresh_head *h = spfresh_head(s, head);
    struct mem *mem = s->base.env.mem;
    const size_t size = atomic_load(&h->size);
    const size_t kept = codec_kept(s->codec, size);
    const size_t n_tail = posting_length(s->store, head) - kept;
    const size_t n_bytes = codec_bytes(s->codec, size + n) - kept;
    unsigned char *bytes = mem_alloc(mem, n_bytes);
    unsigned char *tail = n_tail > 0 ? mem_alloc(mem, n_tail) : NULL;
    float error = atomic_load(&h->error);
    int rc = bytes && (tail || n_tail == 0) ? OK : no_memory(s);

    if (rc == OK && n_tail > 0)
        rc = posting_fetch(s->store, head, kept, n_tail, tail);
    if (rc == OK)
        rc = codec_extend(s->codec, graph_row(s->graph, head), size, tail, m, first, n, bytes,
                          &error);
    if (rc == OK)
        atomic_store(&h->error, error);
    if (rc == OK)
        rc = posting_splice(s->store, head, kept, bytes, n_bytes);
    if (rc == OK)
        atomic_store(&h->size, (uint32_t)(size + n));
    mem_free(mem, tail);
    mem_free(mem, bytes);
    spfresh_count(&s->counters.appends, rc == OK ? n : 0);
    return rc;
}

int spfresh_holds(struct spfresh *s, uint32_t head, uint32_t slot, unsigned version, bool *held)
{
    struct members m;

    members_init(&m, s);
    const int rc = spfresh_load(s, head, true, &m);
    *held = false;
    for (size_t i = 0; rc == OK && i < m.n; i++)
        *held |= m.slots[i] == slot && m.versions[i] == version;
    members_free(&m);
    return rc;
}

/* --------------------------------------------------------------------------------- heads */

/* Room for the head that the graph will number next, whichever that is. */
static bool grow_heads(struct spfresh *s)
{
    pthread_mutex_lock(&s->heads_lock);
    const bool grown = stable_grow(&s->heads, graph_capacity(s->graph) + SPFRESH_ADDERS);
    pthread_mutex_unlock(&s->heads_lock);
    return grown;
}

/* Of a head that was removed. */
struct removed {
    struct epoch_item item;
    uint32_t head;
};

/* Searches that found the head before it was removed have read its posting. */
static void drop_posting(void *index, struct epoch_item *item)
{
    struct spfresh *s = index;
    const uint32_t head = ((struct removed *)(void *)item)->head;

    posting_drop(s->store, head);
    (void)atomic_fetch_and(&spfresh_head(s, head)->flags, ~(uint32_t)HEAD_DROPPING);
    mem_free(s->base.env.mem, item);
}

/* The graph may give a number out again a moment before its old posting is gone. */
static void wait_for_drop(struct spfresh *s, struct spfresh_head *h)
{
    while (atomic_load(&h->flags) & HEAD_DROPPING) {
        epoch_collect(s->epoch);
        (void)sched_yield();
    }
}

int spfresh_add_head(struct spfresh *s, const void *centre, const struct members *m, uint32_t *head)
{
    if (!grow_heads(s))
        return no_memory(s);
    int rc = graph_add(s->graph, centre, head);
    if (rc != OK)
        return rc;
    struct spfresh_head *h = spfresh_head(s, *head);
    wait_for_drop(s, h);
    atomic_store(&h->size, 0);
    atomic_store(&h->error, 0);
    atomic_store(&h->flags, 0);
    (void)atomic_fetch_add(&h->lives, 1);
    rc = spfresh_put(s, *head, m);
    if (rc != OK) {
        /* Should even this fail, the head stays closed and empty. */
        (void)graph_remove(s->graph, *head);
        return rc;
    }
    atomic_store_explicit(&h->flags, HEAD_OPEN, memory_order_release);
    return OK;
}

int spfresh_remove_head(struct spfresh *s, uint32_t head)
{
    struct spfresh_head *h = spfresh_head(s, head);
    struct removed *removed = mem_alloc(s->base.env.mem, sizeof *removed);

    if (!removed)
        return no_memory(s);
    const uint32_t flags = atomic_exchange(&h->flags, HEAD_DROPPING);
    const int rc = graph_remove(s->graph, head);
    if (rc != OK) {
        atomic_store(&h->flags, flags);
        mem_free(s->base.env.mem, removed);
        return rc;
    }
    atomic_store(&h->size, 0);
    removed->head = head;
    epoch_retire(s->epoch, &removed->item, drop_posting, s);
    return OK;
}
