/* world.c - opening a method, keeping the truth beside it, random operations. */
#include "world.h"

#include <sys/stat.h>

#include "tests/tsan.h"

/* CHANNI: a build after 40 rows, then splits and merges; and nothing left out. */
#define SMALL_CLUSTERS "expected_n=50,target_cluster=12,split_max=28,merge_min=3,flat_below=4,"
#define ALL_CLUSTERS   "nprobe=4194304,top_ef=4194304,in_ef=4194304"

/* Asteria: few steps of training, for there are many indexes; and all buckets and rows. */
#define FEW_STEPS   "train_steps=8,batch=32"
#define ALL_BUCKETS "probes=4194304,rerank=1048576"

/* Settings beyond the defaults; a method without a row is tested at its defaults. */
static const struct setting settings[] = {
    { "divf", "clusters=8", "nprobe=4194304", EXHAUSTIVE },
    { "divf", "clusters=8,soft_k=3,split_threshold=1.5", "nprobe=4194304", EXHAUSTIVE },
    { "divf", "clusters=4,storage=mmap", "nprobe=4194304", EXHAUSTIVE },
    { "divf", "clusters=8,soft_k=2", "nprobe=2", 0 },
    { "divf", "clusters=8,sketch=0,soft_k=2", "nprobe=4194304", EXHAUSTIVE },
    { "divf", "clusters=140,sketch=1", "nprobe=4194304", EXHAUSTIVE },
    { "divf", "clusters=140,sketch=1", "nprobe=2,rerank=30,scan_budget=200", 0 },
    { "divf", "clusters=8,soft_k=2,quantizer=sq8", "nprobe=4194304", EXHAUSTIVE },
    /* A bound so wide that it does not fail. */
    { "divf", "clusters=8,soft_k=2,quantizer=rabitq,eps0=12", "nprobe=4194304", EXHAUSTIVE },
    { "divf", "clusters=140,quantizer=rabitq,storage=mmap", "nprobe=2,rerank=20", 0 },
    { "divf", "clusters=12,soft_k=2,maintenance=lire", "nprobe=4194304", EXHAUSTIVE },
    { "divf", "clusters=12,maintenance=dedrift,quantizer=rabitq,eps0=12", "nprobe=4194304",
      EXHAUSTIVE },
    { "divf", "clusters=6,maintenance=cost-model,cost_probe=1,cost_tau=0", "nprobe=4194304",
      EXHAUSTIVE },
    { "hnsw", "", "ef_search=4194304", EXHAUSTIVE },
    { "hnsw", "M=4,ef_construction=20", "ef_search=12", 0 },
    { "spann", "store=memory", "nprobe=4194304", EXHAUSTIVE },
    { "spann", "store=mmap,replicas=2", "nprobe=4194304", EXHAUSTIVE },
    { "spfresh", "store=memory,posting_entries=6", "nprobe=4194304", EXHAUSTIVE },
    { "spfresh", "store=mmap,posting_entries=12,replicas=3", "nprobe=4194304", EXHAUSTIVE },
    { "spfresh", "store=file,head_index=bkt,posting_entries=9", "nprobe=4194304", EXHAUSTIVE },
    { "spfresh", "store=file,postings=sq8,posting_entries=12,replicas=2", "nprobe=4194304",
      EXHAUSTIVE | PRUNES },
    /* A bound so wide that it does not fail. */
    { "spfresh", "store=memory,postings=rabitq,eps0=12,posting_entries=9", "nprobe=4194304",
      EXHAUSTIVE | PRUNES },
    { "spfresh", "store=memory,posting_entries=8,maintenance=explicit,version_bits=15", "nprobe=2",
      0 },
    { "channi", "durability=volatile", ALL_CLUSTERS, EXHAUSTIVE },
    { "channi", SMALL_CLUSTERS "durability=volatile,history=4", ALL_CLUSTERS, EXHAUSTIVE },
    { "channi", SMALL_CLUSTERS "inside=scan,target_cluster=30,split_max=60", ALL_CLUSTERS,
      EXHAUSTIVE },
    /* A bound so wide that it does not fail. */
    { "channi", SMALL_CLUSTERS "inside=codes,eps0=12,cold_rows=true,history=2", ALL_CLUSTERS,
      EXHAUSTIVE },
    { "channi", SMALL_CLUSTERS "inside=codes,maintenance=explicit,durability=synced",
      "nprobe=2,in_ef=12", 0 },
    { "asteria", FEW_STEPS, "mode=certified,probes=4194304", EXHAUSTIVE | PRUNES },
    /* A bound so wide that it does not fail. */
    { "asteria", FEW_STEPS ",eps0=100,leaf_cap=8,scan_dims=8,rabitq_bits=4", ALL_BUCKETS,
      EXHAUSTIVE | PRUNES },
    { "asteria", FEW_STEPS ",address_bits=5,compact_share=.05,rabitq_bits=5,eps0=100", ALL_BUCKETS,
      EXHAUSTIVE | PRUNES },
    { "asteria", "rotation=pca,code=hamming,address_bits=4,r=8,caprg=false",
      "mode=certified,probes=4194304", EXHAUSTIVE | PRUNES },
    { "asteria",
      "rotation=identity,code=none,address_bits=6,vantages=learned,lrsq_pca=false,bits=6",
      "mode=certified,probes=4194304", EXHAUSTIVE | PRUNES },
    { "asteria", "rotation=itq,code=golay2,address_bits=7,rows=tiered,hot_mb=0",
      "mode=certified,probes=4194304", EXHAUSTIVE | PRUNES },
    { "asteria", FEW_STEPS ",code=bch,link=insert,leaf_cap=8,retrain_share=.5,durability=written",
      "probes=3,beam=12", 0 },
    { "asteria", FEW_STEPS ",rows=tiered,hot_mb=0,durability=synced,checkpoint_mb=1",
      "probes=4,beam=8", 0 },
    { "asteria", FEW_STEPS, "", 0 },
    { "ampi", "clusters=8,fans=4", "probes=4194304,fan_probes=4194304,window=1073741824",
      EXHAUSTIVE | PRUNES },
    { "ampi", "clusters=0,fans=3,cones=1,drift_theta=2,refresh_at=0.5",
      "probes=4194304,fan_probes=4194304,window=1073741824", EXHAUSTIVE | PRUNES },
    { "ampi", "clusters=6,fans=5", "probes=3,fan_probes=2,window=9", 0 },
    { "hwtree", "", "", PRUNES },
    { "hwtree", "leaf_capacity=1", "", PRUNES },
    { "hwtree", "leaf_capacity=5,max_depth=3", "", PRUNES },
    { "hftrie", "mode=standard", "", EXHAUSTIVE | PRUNES },
    { "hftrie", "mode=standard,chunk_bits=1,leaf_capacity=1", "", EXHAUSTIVE | PRUNES },
    { "hftrie", "mode=standard,chunk_bits=8,leaf_capacity=10", "", EXHAUSTIVE | PRUNES },
    { "hftrie", "mode=fast,leaf_capacity=10", "", 0 },
    { "hftrie", "mode=multi", "", EXHAUSTIVE | PRUNES },
    { "hftrie", "mode=multi", "plan=tables", EXHAUSTIVE | PRUNES },
    { "hftrie", "mode=multi,permute=false", "plan=tables", EXHAUSTIVE | PRUNES },
    { "mih", "", "", EXHAUSTIVE | PRUNES },
    { "mih", "layout=slots,key_bits=6", "", EXHAUSTIVE | PRUNES },
    { "mih", "tables=7,key_bits=3", "", EXHAUSTIVE | PRUNES },
    { "mih", "tables=1,key_bits=9,layout=slots", "", EXHAUSTIVE | PRUNES },
    { "mtree", "node_capacity=4", "", PRUNES },
    { "mtree", "node_capacity=7,promotion=random", "", PRUNES },
    { "mtree", "", "", PRUNES },
    { "mvptree", "leaf_capacity=8,branch_factor=2,path_length=6", "", PRUNES },
    { "mvptree", "leaf_capacity=20,vantage_points=1,path_length=3", "", PRUNES },
    { "mvptree", "leaf_capacity=16,vantage_points=4,path_length=32", "", PRUNES },
    { "mvptree", "", "", PRUNES },
    { "faiss-flat", "", "", EXHAUSTIVE | PEER },
    { "faiss-ivf-flat", "clusters=8", "nprobe=16777216", EXHAUSTIVE | PEER },
    { "faiss-ivf-flat", "clusters=8,direct_map=hashtable", "nprobe=2", PEER },
    { "faiss-hnsw", "", "ef_search=64", PEER },
    { "faiss-factory", "", "", PEER },
    { "faiss-factory", "factory=BFlat", "", EXHAUSTIVE | PEER | CODES },
    { "faiss-factory", "factory=BIVF6", "nprobe=6", EXHAUSTIVE | PEER | CODES | UNTRAINED },
    { "faiss-factory", "factory=BIVF6", "nprobe=2", PEER | CODES | UNTRAINED },
    { "faiss-factory", "factory=BHash10", "nflip=10", EXHAUSTIVE | PEER | CODES | NO_REMOVE },
    { "faiss-factory", "factory=BHash8x8", "nflip=8", EXHAUSTIVE | PEER | CODES | NO_REMOVE },
    { "faiss-factory", "factory=BHash16x4", "nflip=1", PEER | CODES | NO_REMOVE },
    { "faiss-factory", "factory=BHNSW8", "ef_search=64", PEER | CODES | NO_REMOVE | NO_RANGE },
    { "hnswlib", "", "ef_search=64", PEER },
    { "hnswlib", "deletes=replace", "ef_search=64", PEER },
    { "usearch", "", "expansion_search=64", PEER },
    { "usearch", "metric_impl=usearch", "expansion_search=64", PEER },
};

static const size_t dims[] = { 1, 7, 32, 100 };

/* ------------------------------------------------------------------------------ the runner */

struct case_state {
    struct subject subject;
    const char *test_name;
    world_test *test;
    size_t number;
    char name[240];
};

/* The thread sanitizer's short tier: of a method's spaces and dimensions every fourth, for each case others. */
static bool is_left_out(const struct case_state *c, size_t space, size_t dim)
{
    return TEST_IS_THREAD_SANITIZED && !test_is_long() && (c->number + space + dim) % 4 != 0;
}

static void run_case(void **state)
{
    const struct case_state *c = *state;
    for (const struct index_space *s = c->subject.ops->spaces; (int)s->element != -1; s++) {
        const bool codes = s->element == ELEMENT_B64;
        if (!codes && (c->subject.setting.flags & CODES))
            continue;
        for (size_t i = 0; i < (codes ? 1 : sizeof dims / sizeof *dims); i++) {
            struct world w;
            if (!codes && is_left_out(c, (size_t)(s - c->subject.ops->spaces), i))
                continue;
            world_begin(&w, &c->subject, *s, codes ? 64 : dims[i]);
            c->test(&w);
            world_end(&w);
        }
    }
}

static void add_cases(struct case_state *cases, size_t *n, const struct index_ops *ops,
                      const char *name, world_test *test)
{
    bool known = false;
    for (size_t i = 0; i <= sizeof settings / sizeof *settings; i++) {
        static const struct setting plain = { "", "", "", 0 };
        const bool last = i == sizeof settings / sizeof *settings;
        const struct setting *s = last ? &plain : &settings[i];
        if (last ? known : strcmp(s->method, ops->name) != 0)
            continue;
        known = true;
        struct case_state *c = &cases[*n];
        *c = (struct case_state){ .subject = { .ops = ops, .setting = *s },
                                  .test_name = name,
                                  .test = test,
                                  .number = (*n)++ };
        if (ops->flags & INDEX_EXACT)
            c->subject.setting.flags |= EXHAUSTIVE;
        (void)snprintf(c->subject.name, sizeof c->subject.name, "%s%s%s%s", ops->name,
                       *s->params ? " " : "", s->params,
                       strstr(s->knobs, "nprobe=2") ? " nprobe=2" : "");
        (void)snprintf(c->name, sizeof c->name, "%s: %s", name, c->subject.name);
    }
}

static int run_registry(const struct registry *registry, const char *group,
                        const char *const *names, world_test *const *tests, size_t n_tests,
                        bool (*these)(const struct index_ops *))
{
    const char *only = getenv("DRIFTLINE_TEST_METHOD");
    const size_t most = n_tests * (registry->n + sizeof settings / sizeof *settings);
    struct case_state *cases = calloc(most, sizeof *cases);
    struct CMUnitTest *units = calloc(most, sizeof *units);
    size_t n = 0;
    for (size_t m = 0; cases && units && m < registry->n; m++)
        for (size_t t = 0; t < n_tests; t++)
            if ((!only || !*only || strcmp(only, registry->ops[m]->name) == 0) &&
                (!these || these(registry->ops[m])))
                add_cases(cases, &n, registry->ops[m], names[t], tests[t]);
    int status = these == NULL; /* for few methods there may be nothing to do */
    if (n == 0)
        fprintf(stderr, "%s: no method%s%s%s to test\n", group, only ? " \"" : "", only ? only : "",
                only ? "\"" : "");
    for (size_t i = 0; i < n; i++)
        units[i] = (struct CMUnitTest){ cases[i].name, run_case, NULL, NULL, &cases[i] };
    test_filter();
    if (n > 0)
        status = test_verdict(_cmocka_run_group_tests(group, units, n, NULL, NULL));
    free(units);
    free(cases);
    return status;
}

/* FAISS's OpenMP threads spin while they wait, which on few processors makes the suite several
   times slower. The library reads its settings before main(), so the program starts itself once
   more. */
static void let_openmp_sleep(void)
{
    if (getenv("OMP_WAIT_POLICY") || setenv("OMP_WAIT_POLICY", "passive", 1) != 0)
        return;
    (void)execl("/proc/self/exe", "contract", (char *)NULL);
}

int world_run(const char *group, const char *const *names, world_test *const *tests, size_t n)
{
    return world_run_those(group, names, tests, n, NULL);
}

int world_run_those(const char *group, const char *const *names, world_test *const *tests, size_t n,
                    bool (*these)(const struct index_ops *))
{
    struct registry registry;
    struct error error = { 0 };
    let_openmp_sleep();
    const char *plugin = getenv("DRIFTLINE_TEST_PLUGIN");
    int rc = registry_open(&registry, &error);
    if (rc == OK && plugin && *plugin)
        rc = registry_load_plugin(&registry, plugin, &error);
    const int status = rc == OK ? run_registry(&registry, group, names, tests, n, these) : 1;
    if (rc != OK)
        fprintf(stderr, "%s\n", error.text);
    registry_close(&registry);
    return status;
}

void world_fail(const struct world *w, const char *file, int line, const char *format, ...)
{
    char text[1400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "%s, %s, %s, dim %zu, %zu live rows, step %zu: %s\n", w->subject->name,
            element_name(w->space.element), metric_name(w->space.metric), w->dim, w->n, w->step,
            text);
    _fail(file, line);
    abort(); /* not reached: _fail() leaves the test */
}

void world_refused(struct world *w, int code, int rc, const char *call, const char *file, int line)
{
    struct error *e = &w->bench.error;
    if (rc != code || (code != OK && (e->code != code || !*e->text)))
        world_fail(w, file, line, "%s: expected %s, got %s: %s", call, error_name(code),
                   error_name(rc), e->text);
    error_clear(e);
}

/* ------------------------------------------------------------------------------- opening */

static void set_options(struct world *w, const struct param *table, void *out, const char *text)
{
    char copy[256], *rest = NULL;
    (void)snprintf(copy, sizeof copy, "%s", text);
    param_defaults(table, out);
    for (char *pair = strtok_r(copy, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(pair, '=');
        world_expect(w, value, "setting \"%s\" has no value", pair);
        *value++ = '\0';
        world_ok(w, param_set(table, out, pair,
                              (struct param_value){ .kind = VALUE_TEXT, .text = value },
                              w->ops->name, &w->bench.error));
    }
}

void world_begin(struct world *w, const struct subject *subject, struct index_space space,
                 size_t dim)
{
    memset(w, 0, sizeof *w);
    w->subject = subject;
    w->ops = subject->ops;
    w->flags = subject->setting.flags;
    if (w->flags & (NO_REMOVE | NO_RANGE | UNTRAINED)) {
        w->limited = *subject->ops;
        w->limited.remove = w->flags & NO_REMOVE ? NULL : w->limited.remove;
        w->limited.range = w->flags & NO_RANGE ? NULL : w->limited.range;
        w->limited.flags |= w->flags & UNTRAINED ? INDEX_NEEDS_TRAIN : 0;
        w->ops = &w->limited;
    }
    w->space = space;
    w->dim = dim;
    w->row_bytes = element_row_bytes(space.element, dim);
    w->rng =
        rng_at(test_seed(), rng_mix(dim, (uint64_t)space.element * 8 + (uint64_t)space.metric));
    test_bench_begin(&w->bench, space.element, space.metric, dim, 2);
    test_dir_make_in_memory(w->dir);
    world_expect(w, snprintf(w->state, sizeof w->state, "%.4000s/state", w->dir) > 0, "path");
    world_expect(w, snprintf(w->saved, sizeof w->saved, "%.4000s/saved", w->dir) > 0, "path");
    world_expect(w, mkdir(w->state, 0777) == 0 && mkdir(w->saved, 0777) == 0, "mkdir");
    w->bench.env.dir = w->state;
    w->params = calloc(1, w->ops->params_bytes + 1);
    w->knobs = calloc(1, w->ops->knobs_bytes + 1);
    world_expect(w, w->params && w->knobs, "memory");
    set_options(w, w->ops->params, w->params, subject->setting.params);
    set_options(w, w->ops->knobs, w->knobs, subject->setting.knobs);
}

void world_end(struct world *w)
{
    index_close(&w->index);
    const size_t left = mem_live(&w->bench.mem);
    world_expect(w, left == 0, "%zu bytes are still allocated after destroy()", left);
    test_bench_end(&w->bench);
    test_dir_remove(w->dir);
    free(w->params);
    free(w->knobs);
    free(w->rows);
    free(w->ids);
}

/* In an empty folder, as index.h says: an index of this world that was closed may have left files. */
int world_open(struct world *w)
{
    test_dir_clear(w->state);
    return index_open(&w->index, w->ops, &w->bench.env, w->params);
}

void world_train(struct world *w)
{
    if (!w->ops->train)
        return;
    const size_t n = 200;
    void *sample = world_rows(w, n);
    world_ok(w, index_train(&w->index, world_vectors(w, sample, n)));
    free(sample);
}

/* ------------------------------------------------------------------------------ the truth */

struct vectors world_vectors(const struct world *w, const void *rows, size_t n)
{
    return (struct vectors){ rows, n, w->dim, w->space.element };
}

void *world_rows(struct world *w, size_t n)
{
    void *rows = malloc(n * w->row_bytes + 1);
    world_expect(w, rows, "no memory");
    const size_t clusters = 1 + (size_t)rng_below(&w->rng, 12);
    switch (w->space.element) {
        case ELEMENT_F32:
            test_fill_f32(&w->rng, rows, n, w->dim, clusters, 0.3);
            if (w->space.metric == METRIC_COS)
                test_normalise_f32(rows, n, w->dim);
            break;
        case ELEMENT_U8: test_fill_u8(&w->rng, rows, n, w->dim, clusters, 0.3); break;
        case ELEMENT_B64: test_fill_b64(&w->rng, rows, n, clusters); break;
    }
    for (size_t i = 0; i < n && w->n > 0; i++)
        if (rng_below(&w->rng, 10) == 0)
            memcpy((char *)rows + i * w->row_bytes,
                   w->rows + rng_below(&w->rng, w->n) * w->row_bytes, w->row_bytes);
    return rows;
}

uint64_t world_new_id(struct world *w)
{
    if (w->n_retired > 0 && rng_below(&w->rng, 4) == 0)
        return w->retired[--w->n_retired];
    /* Mostly in order, as the harness gives them, and some with high bits. */
    const uint64_t id = w->next_id++;
    return rng_below(&w->rng, 50) == 0 ? id + (UINT64_C(1) << 40) : id;
}

void world_note_inserted(struct world *w, const void *rows, const uint64_t *ids, size_t n)
{
    if (w->n + n > w->capacity) {
        w->capacity = 2 * (w->n + n);
        w->rows = realloc(w->rows, w->capacity * w->row_bytes);
        w->ids = realloc(w->ids, w->capacity * sizeof *w->ids);
        world_expect(w, w->rows && w->ids, "no memory");
    }
    if (n == 0)
        return;
    memcpy(w->rows + w->n * w->row_bytes, rows, n * w->row_bytes);
    memcpy(w->ids + w->n, ids, n * sizeof *ids);
    w->n += n;
}

static size_t position_of(const struct world *w, uint64_t id)
{
    size_t at = 0;
    while (at < w->n && w->ids[at] != id)
        at++;
    return at;
}

void world_note_removed(struct world *w, uint64_t id)
{
    const size_t at = position_of(w, id);
    world_expect(w, at < w->n, "the test deletes an id it has not");
    w->n--;
    memmove(w->rows + at * w->row_bytes, w->rows + w->n * w->row_bytes, w->row_bytes);
    w->ids[at] = w->ids[w->n];
    if (w->n_retired < sizeof w->retired / sizeof *w->retired)
        w->retired[w->n_retired++] = id;
}

struct past world_past(const struct world *w)
{
    struct past p = { .n = w->n, .n_retired = w->n_retired };
    p.rows = malloc(w->n * w->row_bytes + 1);
    p.ids = calloc(w->n + 1, sizeof *p.ids);
    world_expect(w, p.rows && p.ids, "no memory");
    memcpy(p.retired, w->retired, sizeof p.retired);
    if (w->n > 0) {
        memcpy(p.rows, w->rows, w->n * w->row_bytes);
        memcpy(p.ids, w->ids, w->n * sizeof *p.ids);
    }
    return p;
}

void world_swap(struct world *w, struct past *p)
{
    const struct past was = world_past(w);
    w->n = w->n_retired = 0;
    world_note_inserted(w, p->rows, p->ids, p->n);
    w->n_retired = p->n_retired;
    memcpy(w->retired, p->retired, sizeof w->retired);
    world_forget(p);
    *p = was;
}

void world_forget(struct past *p)
{
    free(p->rows);
    free(p->ids);
    *p = (struct past){ 0 };
}

/* ------------------------------------------------------------------------- random changes */

void world_insert(struct world *w, size_t n)
{
    void *rows = world_rows(w, n);
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    world_expect(w, ids, "no memory");
    for (size_t i = 0; i < n; i++)
        ids[i] = world_new_id(w);
    size_t done = SIZE_MAX;
    world_ok(w, index_insert(&w->index, world_vectors(w, rows, n), ids, &done));
    world_expect(w, done == n, "insert did %zu of %zu", done, n);
    world_note_inserted(w, rows, ids, n);
    free(rows);
    free(ids);
}

void world_remove(struct world *w, size_t n)
{
    n = n < w->n ? n : w->n;
    uint64_t *at = calloc(n + 1, sizeof *at), *ids = calloc(n + 1, sizeof *ids);
    world_expect(w, at && ids, "no memory");
    rng_sample(&w->rng, w->n, n, at);
    for (size_t i = 0; i < n; i++)
        ids[i] = w->ids[at[i]];
    size_t done = SIZE_MAX;
    world_ok(w, index_remove(&w->index, ids, n, &done));
    world_expect(w, done == n, "remove did %zu of %zu", done, n);
    for (size_t i = 0; i < n; i++)
        world_note_removed(w, ids[i]);
    free(at);
    free(ids);
}

void world_check(struct world *w)
{
    world_ok(w, index_check(&w->index, NULL));
    world_expect(w, w->index.live.n == w->n, "%zu live ids, expected %zu", w->index.live.n, w->n);
}

void world_other_folder(struct world *w)
{
    char fresh[PATH_MAX];
    world_expect(w, snprintf(fresh, sizeof fresh, "%.4000s/state-%zu", w->dir, w->folders++) > 0,
                 "path");
    world_expect(w, mkdir(fresh, 0777) == 0, "mkdir %s", fresh);
    strcpy(w->state, fresh);
}

bool world_reload(struct world *w)
{
    if (!w->ops->save || !w->ops->load)
        return false;
    world_ok(w, index_save(&w->index, w->saved));
    struct checked loaded;
    world_other_folder(w);
    world_ok(w, index_open_saved(&loaded, w->ops, &w->bench.env, w->saved, &w->index));
    index_close(&w->index);
    w->index = loaded;
    return true;
}
