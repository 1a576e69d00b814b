/* toy_methods.h - a registry of methods that only have tables: for what reads configs and
   plans cells. */
#ifndef DRIFTLINE_TESTS_SUPPORT_TOY_METHODS_H
#define DRIFTLINE_TESTS_SUPPORT_TOY_METHODS_H

#include "src/core/registry.h"

struct toy_params {
    int64_t clusters, soft_k, storage, deletes;
    bool caprg;
    char factory[PARAM_TEXT_BYTES];
};
struct toy_knobs {
    int64_t nprobe, rerank;
    double budget;
};

static const struct param toy_param_table[] = {
    PARAM_INT(struct toy_params, clusters, 32, 1, 65536, "lists"),
    PARAM_INT(struct toy_params, soft_k, 1, 1, 8, "lists a vector is filed in", .paper = "2",
              .old_name = "replicas", .live = true),
    PARAM_CHOICE(struct toy_params, storage, 0, "ram|mmap", "where vectors lie", .paper = "mmap",
                 .old_choices = "memory=ram|mapped=mmap"),
    PARAM_CHOICE(struct toy_params, deletes, 0, "mark|replace", "what a delete leaves"),
    PARAM_BOOL(struct toy_params, caprg, true, "the part an ablation takes away", .live = true),
    PARAM_TEXT(struct toy_params, factory, "Flat", "a text with commas"),
    PARAM_END_GONE("init=take it out: it starts at random"),
};
static const struct param toy_knob_table[] = {
    PARAM_INT(struct toy_knobs, nprobe, 4, 1, 65536, "lists searched", .old_name = "probes"),
    PARAM_INT(struct toy_knobs, rerank, 0, 0, 1000, "candidates ranked again", .paper = "50"),
    PARAM_REAL(struct toy_knobs, budget, 1, 0, 1, "share of the lists"),
    PARAM_END,
};
static const struct index_space toy_all_spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_COS },     { INDEX_F32, INDEX_IP },
    { INDEX_U8, INDEX_L2SQ },  { INDEX_B64, INDEX_HAMMING }, INDEX_SPACES_END,
};
static const struct index_space toy_f32_spaces[] = { { INDEX_F32, INDEX_L2SQ },
                                                     { INDEX_F32, INDEX_COS },
                                                     INDEX_SPACES_END };
static const struct index_ops toy_flat = {
    .abi = INDEX_ABI, .name = "flat", .flags = INDEX_EXACT, .spaces = toy_all_spaces
};
static const struct index_ops toy_divf = { .abi = INDEX_ABI,
                                           .name = "divf",
                                           .spaces = toy_f32_spaces,
                                           .params = toy_param_table,
                                           .params_bytes = sizeof(struct toy_params),
                                           .knobs = toy_knob_table,
                                           .knobs_bytes = sizeof(struct toy_knobs) };
static const struct index_ops *const toy_list[] = { &toy_flat, &toy_divf };

/* Nothing to close. */
static inline struct registry toy_registry(void)
{
    return (struct registry){ .ops = (const struct index_ops **)(uintptr_t)toy_list, .n = 2 };
}

#endif
