/* stats.c - statistics of a posting index: counters, sizes, memory. */
#include <math.h>

#include "algorithms/common/rows/row_store.h"
#include "algorithms/spfresh/codec/codec.h"
#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/jobs/jobs.h"
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "algorithms/spfresh/operations.h"

static uint64_t count_of(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit((atomic_uint_fast64_t *)(uintptr_t)counter, memory_order_relaxed);
}

static void store_values(const struct spfresh *s, struct stat_sink *sink)
{
    const double queries = fmax((double)count_of(&s->counters.queries), 1);
    struct posting_counts p = { 0 };

    posting_store_counts(s->store, &p);
    sink->value(sink->to, "pages_read", (double)p.pages_read);
    sink->value(sink->to, "pages_per_query", (double)p.pages_read / queries);
    sink->value(sink->to, "pages_written", (double)p.pages_written);
    sink->value(sink->to, "pages_used", (double)p.pages_used);
    sink->value(sink->to, "pages_free", (double)p.pages_free);
    sink->value(sink->to, "pages_parked", (double)p.pages_pinned);
    sink->value(sink->to, "write_amplification",
                p.bytes_given > 0 ? (double)p.bytes_written / (double)p.bytes_given : 0);
    sink->value(sink->to, "late", (double)p.late);
    sink->value(sink->to, "direct", p.direct);
    sink->value(sink->to, "io_uring", p.uring);
    sink->value(sink->to, "read_threads", p.threads);
    sink->value(sink->to, "wal", (double)s->params.wal);
    sink->value(sink->to, "wal_bytes", s->durable.wal ? (double)wal_bytes(s->durable.wal) : 0);
    sink->value(sink->to, "wal_syncs", s->durable.wal ? (double)wal_syncs(s->durable.wal) : 0);
}

/* In the order of enum spfresh_phase. */
static const char *const phase_names[SPFRESH_PHASES] = {
    "heads", "postings", "rerank", "append", "split", "merge", "reassign", "collect"
};

/* A table of posting sizes in entries, stale ones included, for figures of kind "sizes". */
static size_t head_values(const struct spfresh *s, struct stat_sink *sink)
{
    const size_t n = graph_capacity(s->graph);
    size_t entries = 0, row = 0;

    for (uint32_t h = 0; h < n; h++) {
        const struct spfresh_head *head = spfresh_head(s, h);

        if (!spfresh_is_open(s, h))
            continue;
        const size_t size = atomic_load((_Atomic(uint32_t) *)(uintptr_t)&head->size);
        sink->cell(sink->to, "postings", row++, "entries", (double)size);
        entries += size;
    }
    return entries;
}

int spfresh_stats(const struct index *index, struct stat_sink *sink)
{
    const struct spfresh *s = spfresh_of(index);
    const double live = (double)atomic_load(&spfresh_of(index)->slots.live);
    const double heads = (double)graph_live(s->graph);
    const double entries = (double)head_values(s, sink);
    const double queries = fmax((double)count_of(&s->counters.queries), 1);

    sink->value(sink->to, "heads", heads);
    sink->value(sink->to, "entries", entries);
    sink->value(sink->to, "limit", (double)s->limit);
    sink->value(sink->to, "entries_per_posting", heads > 0 ? entries / heads : 0);
    sink->value(sink->to, "copies", live > 0 ? entries / live : 0);
    sink->value(sink->to, "slots", (double)atomic_load(&spfresh_of(index)->slots.n));
    sink->value(sink->to, "exhausted_slots", (double)s->slots.exhausted);
#define PUT(name) sink->value(sink->to, #name, (double)count_of(&s->counters.name))
    SPFRESH_COUNTERS(PUT);
#undef PUT
    sink->value(sink->to, "queued", (double)spfresh_queued(s));
    sink->value(sink->to, "queries", (double)count_of(&s->counters.queries));
#define PUT(name) sink->value(sink->to, #name, (double)count_of(&s->counters.name) / queries)
    SPFRESH_QUERY_COUNTERS(PUT); /* means since the index was opened */
#undef PUT
    store_values(s, sink);
    latency_stats(spfresh_of(index)->phases, phase_names, SPFRESH_PHASES, sink);
    return OK;
}

int spfresh_memory(const struct index *index, struct memory_use *use)
{
    struct spfresh *s = spfresh_of(index);

    *use = (struct memory_use){
        .vectors = graph_row_bytes(s->graph) +
                   (s->params.store == POSTING_MEMORY ? posting_store_resident(s->store) : 0),
        .codes = spfresh_codec_memory(s->codec) + (s->rows ? row_store_resident(s->rows) : 0),
        .graph = graph_edge_bytes(s->graph),
        .ids = segmented_bytes(&s->slots.versions) + s->slots.ids_capacity * sizeof(uint64_t) +
               slot_table_bytes(&s->slots.table),
        .other = sizeof *s + segmented_bytes(&s->heads) + scratch_pool_bytes(&s->scratch) +
                 scratch_pool_bytes(&s->works) +
                 (s->params.store == POSTING_MEMORY ? 0 : posting_store_resident(s->store)),
        .disk = posting_store_disk(s->store) + (s->rows ? row_store_disk(s->rows) : 0) +
                (s->durable.wal ? wal_bytes(s->durable.wal) : 0),
    };
    return OK;
}
