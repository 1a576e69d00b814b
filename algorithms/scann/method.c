/* method.c - ScaNN (Guo et al. 2020; Sun et al. 2023) as a method: its options, reports, and the
 * table of its operations. */
#include "algorithms/scann/scann.h"

static const struct param param_table[] = {
    PARAM_INT(struct scann_params, clusters, 0, 0, 1 << 22,
              "number of inverted lists made by training; 0: sqrt(n) of the n training rows, with "
              "w:train of expected_n if that is more"),
    PARAM_CHOICE(struct scann_params, spill, SCANN_SPILL_NONE, "none|soar",
                 "soar: each row is in two lists; codes, and the rows scanned per list, double",
                 .paper = "soar"),
    PARAM_REAL(struct scann_params, soar_lambda, 1, 0, 1e6,
               "spill = soar: penalty of a second list whose error is parallel to that of the "
               "first; 0: the second list is the second nearest"),
    PARAM_REAL(struct scann_params, threshold, 0.2, 0, 0.99,
               "cosine T above which inner products matter: a code's error along its row weighs "
               "(d - 1) T^2 / (1 - T^2) times that across it; 0: both weigh the same"),
    PARAM_INT(struct scann_params, pq_groups, 0, 0, 1 << 16,
              "groups of dimensions, 4 bits of code each; 0: half the number of dimensions"),
    PARAM_INT(struct scann_params, train_iters, 10, 1, 10000,
              "passes of k-means in training, at most"),
    PARAM_INT(struct scann_params, train_sample, 0, 0, 1e15,
              "training rows of k-means, a random sample of those given; 0: 128 per list"),
    LOGGED_OPTIONS(struct scann_params),
    PARAM_END
};

static const struct param knob_table[] = {
    PARAM_INT(struct scann_knobs, nprobe, 0, 0, 1 << 22,
              "lists scanned per query; recall and time grow with it; 0: one in 16, at least 8, or "
              "with target_recall all"),
    PARAM_INT(struct scann_knobs, rerank, 0, 0, 1 << 20,
              "best estimates per query that get an exact distance, at least k; 0: 8 k"),
    PARAM_REAL(struct scann_knobs, target_recall, 0, 0, 0.9999,
               "mean recall at which queries stop, by an estimate; nprobe is the most lists they "
               "scan. 0: nprobe alone decides"),
    PARAM_END
};

static const struct index_space spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_IP }, { INDEX_F32, INDEX_COS }, INDEX_SPACES_END
};

static int stats(const struct index *index, struct stat_sink *sink)
{
    const struct scann *s = (const struct scann *)index;
    size_t largest = 0;
    for (size_t i = 0; i < s->lists.n; i++)
        largest = s->lists.list[i].n > largest ? s->lists.list[i].n : largest;
    sink->value(sink->to, "n_vectors", (double)s->store.n);
    sink->value(sink->to, "clusters", (double)s->lists.n);
    sink->value(sink->to, "stored_copies", (double)s->lists.copies);
    sink->value(sink->to, "largest_cluster", (double)largest);
    sink->value(sink->to, "trainings", (double)s->trainings);
    return OK;
}

static int memory(const struct index *index, struct memory_use *use)
{
    struct scann *s = (struct scann *)(uintptr_t)index;
    const size_t dim = index->env.dim;
    *use =
        (struct memory_use){ .vectors = dense_rows_bytes(&s->store),
                             .ids = dense_rows_ids_bytes(&s->store),
                             .other = sizeof *s +
                                      s->lists.n * (dim * sizeof(float) + sizeof *s->lists.list) +
                                      scratch_pool_bytes(&s->scratch),
                             .disk = logged_bytes(index) };
    use->ids += s->lists.places_capacity * 2 * sizeof *s->lists.places;
    for (size_t i = 0; i < s->lists.n; i++) {
        use->codes += s->lists.list[i].codes_capacity;
        use->ids += s->lists.list[i].slots_capacity * sizeof *s->lists.list[i].slots;
    }
    if (s->lists.quantizer)
        use->other += quantizer_bytes(s->lists.quantizer);
    return OK;
}

static bool scann_has(const struct index *index, uint64_t id)
{
    return dense_rows_find(&((const struct scann *)index)->store, id, NULL);
}

static const struct logged_method logged = { .ops = &scann_ops,
                                             .version = 4,
                                             .params = offsetof(struct scann, params),
                                             .create = scann_create,
                                             .destroy = scann_destroy,
                                             .insert = scann_insert,
                                             .remove = scann_remove,
                                             .train = scann_train,
                                             .has = scann_has,
                                             .write = scann_write,
                                             .read = scann_read };

LOGGED_CALLS(&logged)

const struct index_ops scann_ops = {
    .abi = INDEX_ABI,
    .name = "scann",
    .summary = "ScaNN, written from its papers: score-aware 4-bit codes, lists with SOAR spilling, "
               "exact rerank",
    .source = "Guo et al., 2020; Sun et al., 2023",
    .flags = INDEX_CONCURRENT_SEARCH,
    .spaces = spaces,
    .params = param_table,
    .params_bytes = sizeof(struct scann_params),
    .knobs = knob_table,
    .knobs_bytes = sizeof(struct scann_knobs),
    LOGGED_OPERATIONS,
    .train = logged_train,
    .search = scann_search,
    .maintain = scann_maintain,
    .stats = stats,
    .memory = memory,
    .check = scann_check,
    .inspect = scann_inspect,
};
