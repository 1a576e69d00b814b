/* postings.c - reads, writes and appends to a posting; its lock and its limits. */
#include <string.h>

#include "algorithms/common/rows/row_store.h"
#include "algorithms/spfresh/filing/filing.h"
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

void spfresh_lock_two(struct spfresh *s, uint32_t a, uint32_t b)
{
    const bool first = a % SPFRESH_STRIPES < b % SPFRESH_STRIPES;

    spfresh_lock_posting(s, first ? a : b);
    if (a % SPFRESH_STRIPES != b % SPFRESH_STRIPES)
        spfresh_lock_posting(s, first ? b : a);
}

void spfresh_unlock_two(struct spfresh *s, uint32_t a, uint32_t b)
{
    spfresh_unlock_posting(s, a);
    if (a % SPFRESH_STRIPES != b % SPFRESH_STRIPES)
        spfresh_unlock_posting(s, b);
}

/* A move that failed half-way and was retried leaves the same entry twice. */
static bool is_repeated(const struct spfresh_members *m, size_t kept, size_t i)
{
    for (size_t j = 0; j < kept; j++)
        if (m->slots[j] == m->slots[i] && m->versions[j] == m->versions[i])
            return true;
    return false;
}

static void keep_kept(struct spfresh *s, struct spfresh_members *m)
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

/* Filters the entries before it reads rows, so that rows of stale ones are not read. */
static int decode(struct spfresh *s, uint32_t head, bool kept, const void *bytes, size_t n_bytes,
                  struct spfresh_members *m)
{
    const size_t n = atomic_load_explicit(&spfresh_head(s, head)->size, memory_order_relaxed);
    int rc = spfresh_codec_decode(s->codec, bytes, n_bytes, n, m);

    if (rc != OK)
        return fail_within(s->base.env.error, "posting %u", (unsigned)head);
    if (kept)
        keep_kept(s, m);
    if (!spfresh_has_row_file(s))
        return OK;
    if (kept)
        return row_store_get(s->rows, m->slots, m->n, m->rows);
    /* A stale entry's slot may have no row: a saved file has only the rows of live slots. */
    for (size_t i = 0; rc == OK && i < m->n; i++)
        if (spfresh_version(s, m->slots[i]) == m->versions[i])
            rc = row_store_get(s->rows, &m->slots[i], 1, m->rows + i * m->row_bytes);
    return rc;
}

int spfresh_load(struct spfresh *s, uint32_t head, bool kept, struct spfresh_members *m)
{
    const size_t n_bytes = posting_length(s->store, head);
    const size_t n = atomic_load_explicit(&spfresh_head(s, head)->size, memory_order_relaxed);
    unsigned char *bytes = NULL;
    int rc = OK;

    m->n = 0;
    if (n_bytes == 0)
        return OK;
    bytes = mem_alloc(s->base.env.mem, n_bytes);
    if (!bytes || !spfresh_members_reserve(m, n))
        rc = spfresh_no_memory(s, "out of memory working on a posting");
    if (rc == OK)
        rc = posting_fetch(s->store, head, 0, n_bytes, bytes);
    if (rc == OK)
        rc = decode(s, head, kept, bytes, n_bytes, m);
    mem_free(s->base.env.mem, bytes);
    return rc;
}

/* Writes the members after the posting's first `size` entries. */
static int write_after(struct spfresh *s, uint32_t head, size_t size,
                       const struct spfresh_members *m)
{
    struct spfresh_head *h = spfresh_head(s, head);
    struct mem *mem = s->base.env.mem;
    const size_t kept = spfresh_codec_kept(s->codec, size);
    const size_t n_tail = size > 0 ? posting_length(s->store, head) - kept : 0;
    const size_t n_bytes = spfresh_codec_bytes(s->codec, size + m->n) - kept;
    unsigned char *bytes = mem_alloc(mem, n_bytes);
    unsigned char *tail = n_tail > 0 ? mem_alloc(mem, n_tail) : NULL;
    float error = atomic_load(&h->error);
    int rc = bytes && (tail || n_tail == 0)
                 ? OK
                 : spfresh_no_memory(s, "out of memory working on a posting");

    if (rc == OK && n_tail > 0)
        rc = posting_fetch(s->store, head, kept, n_tail, tail);
    if (rc == OK)
        rc =
            spfresh_codec_extend(s->codec, graph_row(s->graph, head), size, tail, m, bytes, &error);
    if (rc == OK)
        atomic_store(&h->error, error); /* set before the codes can be read */
    if (rc == OK)
        rc = posting_splice(s->store, head, kept, bytes, n_bytes);
    if (rc == OK)
        atomic_store(&h->size, (uint32_t)(size + m->n));
    mem_free(mem, tail);
    mem_free(mem, bytes);
    return rc;
}

int spfresh_put(struct spfresh *s, uint32_t head, const struct spfresh_members *m)
{
    return write_after(s, head, 0, m);
}

int spfresh_append(struct spfresh *s, uint32_t head, const struct spfresh_members *m)
{
    const int rc = write_after(s, head, atomic_load(&spfresh_head(s, head)->size), m);

    spfresh_count(&s->counters.appends, rc == OK ? m->n : 0);
    return rc;
}

int spfresh_holds(struct spfresh *s, uint32_t head, uint32_t slot, unsigned version, bool *held)
{
    struct spfresh_members m;

    spfresh_members_init(&m, s);
    const int rc = spfresh_load(s, head, true, &m);
    *held = false;
    for (size_t i = 0; rc == OK && i < m.n; i++)
        *held |= m.slots[i] == slot && m.versions[i] == version;
    spfresh_members_free(&m);
    return rc;
}

void spfresh_set_limits(struct spfresh *s)
{
    const struct spfresh_params *p = &s->params;
    const size_t usual = s->base.env.element == INDEX_U8 ? 3 : 12;
    const size_t pages = p->page_limit > 0 ? (size_t)p->page_limit : usual;
    const size_t share = (size_t)(1 / p->ratio), least = 10;
    /* Where entries are small, pages alone would let postings grow to many times what a build puts
       under a head before they are split. docs/decisions.md has what was tried. */
    const size_t short_enough = 6 * share > 32 ? 6 * share : 32;

    s->limit = spfresh_codec_entries(s->codec, pages);
    if (p->posting_entries > 0)
        s->limit = (size_t)p->posting_entries;
    else if (p->page_limit == 0 && s->limit > short_enough)
        s->limit = short_enough;
    s->hard_limit = s->limit + spfresh_codec_entries(s->codec, (size_t)p->buffer_pages + 1);
    /* Short beside what a build gives a head, not beside the limit: where entries are small, that
       would merge nearly all of a build's postings. */
    s->merge_limit = share < s->limit / 10 ? share : s->limit / 10;
    if (s->merge_limit < least)
        s->merge_limit = least;
    if (p->merge_entries > 0)
        s->merge_limit = (size_t)p->merge_entries;
    /* A merged posting must stay clear of the split limit. */
    if (s->merge_limit > s->limit / 3)
        s->merge_limit = s->limit / 3;
}
