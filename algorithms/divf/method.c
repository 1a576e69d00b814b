/* method.c - the dynamic inverted file as a method: its options, and the table of
   its operations. */
#include "algorithms/common/structure/structure.h"
#include "algorithms/divf/device.h"
#include "algorithms/divf/divf.h"
#include "algorithms/divf/maintenance/members.h"

static const struct param param_table[] = {
    PARAM_INT(struct divf_params, clusters, 0, 0, 1 << 22,
              "number of inverted lists made by training; 0: sqrt(n) of n, the training vectors or "
              "the rows expected, whichever are more. More lists: fewer codes per query, more "
              "lists to open"),
    PARAM_INT(
        struct divf_params, soft_k, 1, 1, DIVF_SOFT_K_MAX,
        "lists that each vector is stored in; memory and the rows scanned per list grow with it",
        .live = true),
    PARAM_REAL(struct divf_params, split_threshold, 3.0, 0, 1e9,
               "copenhagen: after an insert batch, a list with more live rows than this times the "
               "mean is split; 0: never; a value from 0 to 1 is refused",
               .live = true),
    PARAM_INT(struct divf_params, max_split_iters, 10, 1, 1000,
              "passes of the 2-means that splits a list, at most", .live = true),
    PARAM_REAL(struct divf_params, compact_at, 0.10, 0, 1,
               "share of dead rows from which a deletion compacts every list", .live = true),
    PARAM_CHOICE(
        struct divf_params, maintenance, DIVF_COPENHAGEN,
        "none|copenhagen|lire|dedrift|cost-model|ada-ivf",
        "what keeps the lists balanced. copenhagen: splits long lists; lire: also reassigns the "
        "vectors around a split and dissolves short lists; dedrift: moves centroids; cost-model: "
        "splits and dissolves lists where that makes queries cheaper; ada-ivf: clusters lists "
        "again "
        "with their neighbours when their size or mean has changed"),
    PARAM_REAL(struct divf_params, list_limit, 1.25, 0.5, 1e9,
               "lire: a list longer than this times the fair length is split; the fair length is "
               "the copies over the lists that training would make. Less: more lists, faster "
               "scans, slower inserts",
               .live = true),
    PARAM_REAL(struct divf_params, merge_threshold, 0.1, 0, 0.4,
               "lire: a list shorter than this times the fair length is dissolved, and no split "
               "leaves one",
               .live = true),
    PARAM_INT(
        struct divf_params, reassign_lists, 64, 0, 4096,
        "lire, cost-model, ada-ivf: lists around a split whose vectors may be reassigned; 0: none",
        .live = true),
    PARAM_INT(
        struct divf_params, refine_passes, 1, 0, 100,
        "lire, cost-model, ada-ivf: passes of k-means over a sample around a split, before vectors "
        "are reassigned",
        .live = true),
    PARAM_INT(struct divf_params, maintenance_budget, 300, 0, 1e9,
              "all but copenhagen: distances of maintenance per inserted copy; 0: "
              "maintenance is done by w:maintain alone",
              .old_name = "upkeep_budget", .live = true),
    PARAM_REAL(struct divf_params, cycle_every, 0.1, 1e-6, 1e9,
               "dedrift, ada-ivf: a cycle starts when this share of the vectors has changed",
               .old_name = "dedrift_every", .live = true),
    PARAM_INT(
        struct divf_params, dedrift_lists, 8, 0, 1 << 22,
        "dedrift: lists that a cycle splits and dissolves, at most; 0: it moves centroids only",
        .live = true),
    PARAM_REAL(struct divf_params, cost_tau, 0.5, 0, 1e9,
               "cost-model: distances per query that a change must save", .live = true),
    PARAM_REAL(struct divf_params, cost_probe, 64, 0, 1e9,
               "cost-model: cost of opening a list, in distances", .live = true),
    PARAM_REAL(struct divf_params, ada_threshold, 0.3, 0, 1e9,
               "ada-ivf: score from which a list is clustered again. Less: more often",
               .live = true),
    PARAM_REAL(struct divf_params, ada_size, 0.8, 0, 1,
               "ada-ivf: weight of a list's size in its score; the rest is that of its moved mean",
               .live = true),
    PARAM_CHOICE(
        struct divf_params, storage, DIVF_RAM, "ram|mmap",
        "where vectors are stored: in memory, or in a mapped file that may be larger than memory; "
        "a loaded index maps the saved file"),
    PARAM_CHOICE(
        struct divf_params, device, CUDA_CPU, "cpu|cuda",
        "what computes the distances of training and of insert batches to centroids, and those of "
        "batches of 32 queries or more"),
    PARAM_INT(struct divf_params, train_iters, 25, 1, 10000,
              "passes of k-means in training, at most"),
    PARAM_INT(struct divf_params, train_sample, 0, 0, 1e15,
              "training vectors, a random sample of those given; 0: all"),
    PARAM_CHOICE(struct divf_params, quantizer, DIVF_SKETCH, "none|pq|sq8|rabitq",
                 "codes that a scan reads before the vectors; none: the sketch"),
    PARAM_INT(struct divf_params, sketch, -1, -1, 1 << 16,
              "bytes of a sketch, which centroids have, and vectors with quantizer = none. A scan "
              "reads the sketches, then the vectors that they cannot exclude; 0: no sketch, every "
              "vector is read; -1: chosen from the data",
              .paper = "0"),
    PARAM_INT(struct divf_params, bits, 0, 0, 9,
              "quantizer = rabitq: bits per dimension; 0: 1 with storage = ram, 5 with storage = "
              "mmap. More bits: fewer vectors read, slower scans"),
    PARAM_INT(struct divf_params, pq_bits, 4, 4, 8,
              "quantizer = pq: bits per group, 4 or 8. 8, the paper's: 256 codewords per group"),
    PARAM_INT(struct divf_params, pq_groups, 0, 0, 1 << 16,
              "quantizer = pq: groups of dimensions; 0: half the number of dimensions, or 8, the "
              "paper's, with pq_bits = 8"),
    PARAM_REAL(struct divf_params, eps0, 1.9, 0.1, 100,
               "quantizer = rabitq: confidence of the error bound; more: fewer misses, more exact "
               "distances"),
    LOGGED_OPTIONS(struct divf_params),
    PARAM_END_GONE("init=take it out: k-means starts with random vectors")
};

static const struct param knob_table[] = {
    PARAM_INT(struct divf_knobs, nprobe, 1, 1, 1 << 22,
              "lists scanned per query; recall and time grow with it"),
    PARAM_INT(struct divf_knobs, rerank, 0, 0, 1 << 20,
              "best estimates per query that get an exact distance; 0: all that the quantizer's "
              "bound cannot exclude"),
    PARAM_INT(struct divf_knobs, scan_budget, 0, 0, 1e15,
              "codes after which a query opens no further list; 0: nprobe alone decides"),
    PARAM_REAL(struct divf_knobs, target_recall, 0, 0, 0.9999,
               "mean recall at which queries stop, by an estimate; nprobe is the most they scan. "
               "0: nprobe alone decides"),
    PARAM_END
};

static const struct index_space spaces[] = { { INDEX_F32, INDEX_L2SQ },
                                             { INDEX_F32, INDEX_COS },
                                             { INDEX_F32, INDEX_IP },
                                             { INDEX_U8, INDEX_L2SQ },
                                             INDEX_SPACES_END };

/* Changes take turns, with each other and with what reads the whole index. */
static struct divf *begin(const struct index *index)
{
    struct divf *d = divf_of((struct index *)(uintptr_t)index);
    pthread_mutex_lock(&d->changing);
    return d;
}

static int end(struct divf *d, int rc)
{
    pthread_mutex_unlock(&d->changing);
    return rc;
}

/* Nobody else writes it. A search that sees something of the change sees the number, too. */
static void count_change(struct divf *d)
{
    uint64_t n = atomic_load_explicit(&d->changes, memory_order_relaxed);
    atomic_store_explicit(&d->changes, n + 1, memory_order_release);
}

static struct divf *begin_change(struct index *index)
{
    struct divf *d = begin(index);
    count_change(d);
    return d;
}

static int end_change(struct divf *d, int rc)
{
    divf_lists_publish(d);
    count_change(d);
    epoch_collect(d->epoch);
    return end(d, rc);
}

static int train(struct index *index, struct vectors sample)
{
    struct divf *d = begin_change(index);
    return end_change(d, divf_train(index, sample));
}

static int insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct divf *d = begin_change(index);
    return end_change(d, divf_insert(index, rows, ids, done));
}

/* `remove` is a function of <stdio.h>. */
static int remove_ids(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct divf *d = begin_change(index);
    return end_change(d, divf_remove(index, ids, n, done));
}

static int maintain(struct index *index, uint64_t budget, bool *more)
{
    struct divf *d = begin_change(index);
    int rc = divf_train_again_if_due(d, true, more); /* in one call, even beyond the budget */
    if (!rc && !*more)
        rc = divf_maintenance_run(d, budget, more);
    return end_change(d, rc);
}

static int write_sections(struct index *index, struct store_writer *w)
{
    struct divf *d = begin_change(index);
    return end_change(d, divf_write(index, w));
}

static int set_params(struct index *index, const void *params)
{
    struct divf *d = begin_change(index);
    return end_change(d, divf_set_params(index, params));
}

static int stats(const struct index *index, struct stat_sink *sink)
{
    struct divf *d = begin(index);
    return end(d, divf_stats(index, sink));
}

static int memory(const struct index *index, struct memory_use *use)
{
    struct divf *d = begin(index);
    return end(d, divf_memory(index, use));
}

static int check(const struct index *index, struct stat_sink *sink)
{
    struct divf *d = begin(index);
    return end(d, divf_check(index, sink));
}

static void show_list(const struct divf *d, size_t number, const struct structure_sink *sink)
{
    const struct divf_list *l = d->lists.list[number];
    const struct chunks *chunks = d->lists.chunks;
    struct structure_ids ids = { .sink = sink };

    if (!sink->enter(sink->to, "list", number))
        return;
    sink->number(sink->to, "live", l->live);
    sink->number(sink->to, "physical", l->rows);
    sink->number(sink->to, "last_split_round", (double)l->last_split_round);
    sink->vector(sink->to, "centroid", d->lists.centroids + number * d->env.dim, d->space.row_dim);
    for (size_t i = 0; i < l->rows; i++) {
        const uint32_t place = divf_place(l, i);

        if (divf_place_live(chunks, place))
            structure_ids_add(&ids, d->slots.id[divf_place_slot(chunks, place)]);
    }
    structure_ids_end(&ids);
    sink->leave(sink->to);
}

static int inspect(const struct index *index, const struct structure_sink *sink)
{
    struct divf *d = begin(index);
    if (sink->enter(sink->to, index->ops->name, 0)) {
        sink->number(sink->to, "rows", (double)d->slots.ids.n);
        sink->number(sink->to, "lists", (double)d->lists.n);
        sink->number(sink->to, "stored_copies", (double)d->lists.live);
        for (size_t i = 0; i < d->lists.n; i++)
            show_list(d, i, sink);
        sink->leave(sink->to);
    }
    return end(d, OK);
}

static int cluster(struct index *index, const struct cluster_request *request,
                   struct cluster_result *result)
{
    struct divf *d = begin(index);
    return end(d, divf_cluster(index, request, result));
}

static int search(struct index *index, const struct search_request *request,
                  struct search_result *result)
{
    struct divf *d = divf_of(index);
    return divf_device_fits(d, request) ? divf_device_search(d, request, result)
                                        : divf_search(index, request, result);
}

static bool has(const struct index *index, uint64_t id)
{
    const struct divf *d = divf_of_const(index);
    return slot_table_get(&d->slots.ids, d->slots.id, id, NULL);
}

static const struct logged_method logged = { .ops = &divf_ops,
                                             .version = 8,
                                             .params = offsetof(struct divf, params),
                                             .create = divf_create,
                                             .destroy = divf_destroy,
                                             .insert = insert,
                                             .remove = remove_ids,
                                             .train = train,
                                             .has = has,
                                             .write = write_sections,
                                             .read = divf_read };

LOGGED_CALLS(&logged)

const struct index_ops divf_ops = {
    .abi = INDEX_ABI,
    .name = "divf",
    .summary = "dynamic inverted file: soft assignment, tombstones, splits of overfull lists",
    .source = "Copenhagen 0.1.0 (dynamic IVF index)",
    .flags = INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE,
    .spaces = spaces,
    .params = param_table,
    .params_bytes = sizeof(struct divf_params),
    .knobs = knob_table,
    .knobs_bytes = sizeof(struct divf_knobs),
    LOGGED_OPERATIONS,
    .train = logged_train,
    .search = search,
    .range = divf_range,
    .maintain = maintain,
    .set_params = set_params,
    .stats = stats,
    .memory = memory,
    .check = check,
    .inspect = inspect,
    .cluster = cluster,
};
