/* world_run.c - every method with each of its settings, through each test of a program. */
#include "tests/contract/world.h"

#include "src/cli/methods.h"
#include "tests/support/tsan.h"

/* CHANNI: a build after 40 rows, then splits and merges; and nothing left out. */
#define SMALL_CLUSTERS \
    "expected_n=50,target_cluster=12,split_max=28,merge_min=3,flat_below=4,maintenance=inline,"
#define ALL_CLUSTERS "nprobe=4194304,top_ef=4194304,in_ef=4194304"

/* Asteria: few steps of training, for there are many indexes; and all buckets and rows. */
#define FEW_STEPS   "train_steps=8,batch=32"
#define ALL_BUCKETS "nprobe=4194304,rerank=1048576"

/* Settings beyond the defaults; a method without a row is tested at its defaults. */
static const struct setting settings[] = {
    { "flat", "", "", COMPARES_ONCE },
    { "flat", "wal=written,checkpoint_mb=1", "", COMPARES_ONCE },
    { "hamming-scan", "", "", COMPARES_ONCE },
    { "divf", "clusters=8", "nprobe=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "divf", "clusters=8,soft_k=3,split_threshold=1.5", "nprobe=4194304",
      EXHAUSTIVE | COMPARES_ALL },
    { "divf", "clusters=4,storage=mmap", "nprobe=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "divf", "clusters=8,soft_k=2,wal=written", "nprobe=2", 0 },
    { "divf", "clusters=8,sketch=0,soft_k=2", "nprobe=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "divf", "clusters=140,sketch=1", "nprobe=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "divf", "clusters=140,sketch=1", "nprobe=2,rerank=30,scan_budget=200", MAY_BE_SHORT },
    { "divf", "", "", 0 },
    { "divf", "clusters=140", "nprobe=70,target_recall=0.5", 0 },
    { "divf", "clusters=8,soft_k=2,quantizer=sq8", "nprobe=4194304", EXHAUSTIVE | COMPARES_ALL },
    /* A bound so wide that it does not fail. */
    { "divf", "clusters=8,soft_k=2,quantizer=rabitq,eps0=12", "nprobe=4194304",
      EXHAUSTIVE | COMPARES_ALL },
    { "divf", "clusters=140,quantizer=rabitq,storage=mmap,wal=synced", "nprobe=2,rerank=20", 0 },
    { "divf", "clusters=8,soft_k=2,quantizer=pq,pq_bits=8", "nprobe=4194304",
      EXHAUSTIVE | COMPARES_ALL },
    { "divf", "clusters=12,soft_k=2,maintenance=lire", "nprobe=4194304",
      EXHAUSTIVE | COMPARES_ALL },
    { "divf", "clusters=12,maintenance=dedrift,quantizer=rabitq,eps0=12", "nprobe=4194304",
      EXHAUSTIVE | COMPARES_ALL },
    { "divf", "clusters=6,maintenance=cost-model,cost_probe=1,cost_tau=0", "nprobe=4194304",
      EXHAUSTIVE | COMPARES_ALL },
    { "divf",
      "clusters=9,maintenance=ada-ivf,ada_threshold=.1,cycle_every=.01,quantizer=rabitq,"
      "eps0=12",
      "nprobe=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "scann", "", "nprobe=4194304,rerank=1048576", EXHAUSTIVE | COMPARES_ALL },
    { "scann", "clusters=8,spill=soar", "nprobe=4194304,rerank=1048576",
      EXHAUSTIVE | COMPARES_ALL },
    { "scann", "clusters=9,spill=none,threshold=.5,pq_groups=1", "nprobe=2,rerank=20", 0 },
    { "scann", "", "", 0 },
    { "scann", "clusters=20,spill=soar", "target_recall=0.5", 0 },
    { "scann", "clusters=12,spill=soar,soar_lambda=0,threshold=0,wal=written", "nprobe=3,rerank=1",
      0 },
    { "hnsw", "", "ef_search=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "hnsw", "M=4,ef_construction=20,wal=written", "ef_search=12", 0 },
    { "vamana", "", "search_list=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "vamana", "maintenance=explicit,degree=12,build_list=30", "search_list=4194304",
      EXHAUSTIVE | COMPARES_ALL },
    { "vamana", "degree=8,build_list=20,consolidate_share=.02,wal=synced", "search_list=12", 0 },
    { "vamana", "deletes=in-place", "search_list=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "vamana", "deletes=in-place,degree=8,build_list=20", "search_list=12", 0 },
    { "vamana-disk", "merge_rows=12", "search_list=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "vamana-disk", "merge_rows=40,degree=12,build_list=30,cache_mb=0.001", "search_list=4194304",
      EXHAUSTIVE | COMPARES_ALL },
    { "vamana-disk", "maintenance=explicit,pq_groups=1,direct=true,io=pread",
      "search_list=12,beam_width=2", 0 },
    { "symqg", "", "ef_search=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "symqg", "degree=64,ef_construction=20,iterations=2,wal=written,checkpoint_mb=1",
      "ef_search=12", 0 },
    { "spann", "store=memory", "nprobe=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "spann", "store=mmap,replicas=2", "nprobe=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "spfresh", "store=memory,posting_entries=6", "nprobe=4194304", EXHAUSTIVE | COMPARES_ALL },
    { "spfresh", "store=mmap,posting_entries=12,replicas=3", "nprobe=4194304",
      EXHAUSTIVE | COMPARES_ALL },
    { "spfresh", "store=file,head_index=bkt,posting_entries=9", "nprobe=4194304",
      EXHAUSTIVE | COMPARES_ALL },
    { "spfresh", "store=file,postings=sq8,posting_entries=12,replicas=2", "nprobe=4194304",
      EXHAUSTIVE },
    /* A bound so wide that it does not fail. */
    { "spfresh", "store=memory,postings=rabitq,eps0=12,posting_entries=9", "nprobe=4194304",
      EXHAUSTIVE },
    { "spfresh", "store=memory,posting_entries=8,maintenance=explicit,version_bits=15", "nprobe=2",
      0 },
    { "spfresh", "store=file,postings=sq8,posting_entries=12", "nprobe=64,target_recall=0.5", 0 },
    { "channi", "wal=none", "", 0 },
    { "channi", SMALL_CLUSTERS "cluster_index=graph,wal=none,history=4", ALL_CLUSTERS,
      EXHAUSTIVE | COMPARES_ALL },
    { "channi",
      SMALL_CLUSTERS
      "cluster_index=scan,target_cluster=30,split_max=60,parts=3,reuse=false,alias_max=2",
      ALL_CLUSTERS, EXHAUSTIVE | COMPARES_ALL },
    /* A bound so wide that it does not fail. */
    { "channi",
      SMALL_CLUSTERS
      "cluster_index=codes,eps0=12,cold_rows=true,history=2,alias=false,ood_sigma=1,ood_excess=0",
      ALL_CLUSTERS, EXHAUSTIVE | COMPARES_ALL },
    { "channi", SMALL_CLUSTERS "cluster_index=codes,maintenance=explicit,wal=synced",
      "nprobe=2,in_ef=12", 0 },
    { "channi", SMALL_CLUSTERS "cluster_index=graph,wal=none",
      "nprobe=2,in_ef=12,target_recall=0.5", LEARNS },
    { "asteria", FEW_STEPS, "mode=certified,nprobe=4194304", EXHAUSTIVE },
    /* A bound so wide that it does not fail. */
    { "asteria", FEW_STEPS ",caprg=true,eps0=100,leaf_cap=8,scan_dims=8,rabitq_bits=4", ALL_BUCKETS,
      EXHAUSTIVE },
    { "asteria", FEW_STEPS ",caprg=true,address_bits=5,compact_share=.05,rabitq_bits=5,eps0=100",
      ALL_BUCKETS, EXHAUSTIVE },
    { "asteria", "rotation=pca,code=hamming,address_bits=4,r=8", "mode=certified,nprobe=4194304",
      EXHAUSTIVE },
    { "asteria",
      "rotation=identity,code=none,address_bits=6,vantages=learned,lrsq_pca=false,bits=6",
      "mode=certified,nprobe=4194304", EXHAUSTIVE },
    { "asteria", "rotation=opq,code=golay,address_bits=7,storage=tiered,cache_mb=1",
      "mode=certified,nprobe=4194304", EXHAUSTIVE },
    { "asteria",
      FEW_STEPS ",code=bch,caprg=true,link_policy=insert,leaf_cap=8,leaf_rules=entropy,"
                "leaf_prototypes=2,lrsq_scale=block,retrain_share=.5,wal=written",
      "nprobe=3,beam=12", 0 },
    { "asteria", FEW_STEPS ",caprg=true,storage=tiered,cache_mb=0,wal=synced,checkpoint_mb=1",
      "nprobe=4,beam=8", 0 },
    { "asteria", FEW_STEPS, "", 0 },
    { "asteria", FEW_STEPS, "target_recall=0.5", 0 },
    { "ampi", "clusters=8,fans=4", "nprobe=4194304,fan_probes=4194304,window=1073741824",
      EXHAUSTIVE },
    { "ampi", "clusters=0,fans=3,cones=1,drift_theta=2,refresh_at=0.5",
      "nprobe=4194304,fan_probes=4194304,window=1073741824", EXHAUSTIVE },
    { "ampi", "clusters=6,fans=5,wal=written", "nprobe=3,fan_probes=2,window=9", 0 },
    { "hwtree", "", "", 0 },
    { "hwtree", "leaf_capacity=1", "", 0 },
    { "hwtree", "leaf_capacity=5,max_depth=3,wal=written", "", 0 },
    { "hftrie", "mode=standard", "", EXHAUSTIVE },
    { "hftrie", "mode=standard,chunk_bits=1,leaf_capacity=1", "", EXHAUSTIVE },
    { "hftrie", "mode=standard,chunk_bits=8,leaf_capacity=10", "", EXHAUSTIVE | SOME_SPACES },
    { "hftrie", "mode=fast,leaf_capacity=10,wal=written", "", MAY_BE_SHORT },
    { "hftrie", "mode=multi", "", EXHAUSTIVE | SOME_SPACES },
    { "hftrie", "mode=multi", "plan=tables", EXHAUSTIVE | SOME_SPACES },
    { "hftrie", "mode=multi,permute=false", "plan=tables", EXHAUSTIVE | SOME_SPACES },
    { "mih", "", "", EXHAUSTIVE },
    { "mih", "layout=slots,key_bits=6", "", EXHAUSTIVE },
    { "mih", "tables=7,key_bits=3,wal=written", "", EXHAUSTIVE },
    { "mih", "tables=1,key_bits=9,layout=slots", "", EXHAUSTIVE },
    { "mtree", "node_capacity=4", "", 0 },
    { "mtree", "node_capacity=7,promotion=random,wal=written", "", 0 },
    { "mtree", "", "", 0 },
    { "mvptree", "leaf_capacity=8,branch_factor=2,path_length=6", "", 0 },
    { "mvptree", "leaf_capacity=20,vantage_points=1,path_length=3,wal=written", "", 0 },
    { "mvptree", "leaf_capacity=16,vantage_points=4,path_length=32", "", 0 },
    { "mvptree", "", "", 0 },
    { "kmeans", "", "", 0 },
    { "kmeans", "clusters=5,iterations=3", "", 0 },
    { "hdbscan", "", "", HAS_NOISE },
    { "hdbscan", "min_cluster_size=5,min_samples=3,neighbours=4", "", HAS_NOISE },
    { "sharded", "", "", EXHAUSTIVE | COMPARES_ALL },
    { "sharded", "shards=3,buckets=4,split_rows=60,placement=cluster,balance=1.05", "route=0",
      EXHAUSTIVE | COMPARES_ALL | SOME_SPACES | UNTRAINED },
    { "sharded", "shards=2,buckets=3,split_rows=40,placement=range,balance=1.05", "",
      EXHAUSTIVE | COMPARES_ALL },
    { "sharded", "shards=3,buckets=2,placement=cluster", "route=2", SOME_SPACES | UNTRAINED },
    { "sharded", "shards=2,of=channi", "", SOME_SPACES },
    { "external", "command=build/external-client", "", EXHAUSTIVE | COMPARES_ALL | BASELINE },
    { "external", "command=python3 configs/examples/external/client.py", "",
      EXHAUSTIVE | COMPARES_ALL | BASELINE | PYTHON },
    { "faiss-flat", "", "", EXHAUSTIVE | COMPARES_ALL | BASELINE },
    { "faiss-ivf-flat", "clusters=8", "nprobe=16777216", EXHAUSTIVE | COMPARES_ALL | BASELINE },
    { "faiss-ivf-flat", "clusters=8,direct_map=hashtable", "nprobe=16777216",
      EXHAUSTIVE | COMPARES_ALL | BASELINE },
    { "faiss-hnsw", "", "ef_search=64", BASELINE },
    { "faiss-factory", "", "", EXHAUSTIVE | COMPARES_ALL | BASELINE },
    { "faiss-factory", "factory=BFlat", "", EXHAUSTIVE | COMPARES_ALL | BASELINE | CODES },
    { "faiss-factory", "factory=BIVF6", "nprobe=6",
      EXHAUSTIVE | COMPARES_ALL | BASELINE | CODES | UNTRAINED },
    { "faiss-factory", "factory=BIVF6", "nprobe=2", BASELINE | CODES | UNTRAINED },
    { "faiss-factory", "factory=BHash10", "nflip=10",
      EXHAUSTIVE | COMPARES_ALL | BASELINE | CODES | NO_REMOVE },
    { "faiss-factory", "factory=BHash8x8", "nflip=8",
      EXHAUSTIVE | COMPARES_ALL | BASELINE | CODES | NO_REMOVE },
    { "faiss-factory", "factory=BHash16x4", "nflip=1", BASELINE | CODES | NO_REMOVE },
    { "faiss-factory", "factory=BHNSW8", "ef_search=64", BASELINE | CODES | NO_REMOVE | NO_RANGE },
    { "hnswlib", "", "ef_search=64", BASELINE },
    { "hnswlib", "deletes=replace", "ef_search=64", BASELINE },
    { "usearch", "", "expansion_search=64", BASELINE },
    { "usearch", "metric_impl=usearch", "expansion_search=64", BASELINE },
};

static const size_t dims[] = { 1, 7, 32, 100 };
static const size_t code_dims[] = { 64, 192 }; /* of methods that take only 64: the first */

/* ---- the runner */

enum { TESTS_MOST = 16 };

struct case_state {
    struct subject subject;
    world_test *test;
    size_t number;
    char name[240];
};

/* Under a sanitizer, in the short tier: of a method's spaces and dimensions every fourth, under the
   thread sanitizer one; for each case others. `place` counts through them. */
static bool is_left_out(const struct case_state *c, size_t place)
{
    size_t places = 0;

    if (!TEST_IS_SANITIZED || test_is_long() || (c->subject.setting.flags & PYTHON))
        return false;
    for (const struct index_space *s = c->subject.ops->spaces; (int)s->element != -1; s++)
        places += sizeof dims / sizeof *dims;
    return (c->number + place) % (TEST_IS_THREAD_SANITIZED ? places : 4) != 0;
}

/* Whether the setting refuses the world's space. */
static bool refuses(struct world *w)
{
    if (!(w->flags & SOME_SPACES))
        return false;
    const bool refused = world_open(w) == ERR_UNSUPPORTED;
    index_close(&w->index);
    error_clear(&w->bench.error);
    return refused;
}

static void run_case(void **state)
{
    const struct case_state *c = *state;
    if ((c->subject.setting.flags & PYTHON) && system("python3 -c '' >/dev/null 2>&1") != 0) {
        print_message("           there is no python3: skipped\n");
        return;
    }
    size_t place = 0;
    for (const struct index_space *s = c->subject.ops->spaces; (int)s->element != -1; s++) {
        const bool codes = s->element == INDEX_B64;
        if (!codes && (c->subject.setting.flags & CODES))
            continue;
        const bool wide = index_takes(c->subject.ops, s->element, code_dims[1], s->metric);
        for (size_t i = 0; i < (codes ? 1 + (size_t)wide : sizeof dims / sizeof *dims); i++) {
            struct world w;
            /* One dimension: an interpreter starts for each index, and compares row by row. */
            if ((c->subject.setting.flags & PYTHON) && !codes && dims[i] != 7)
                continue;
            if (!codes && is_left_out(c, place++))
                continue;
            world_begin(&w, &c->subject, *s, codes ? code_dims[i] : dims[i]);
            if (!refuses(&w))
                c->test(&w);
            world_end(&w);
        }
    }
}

/* Settings of a plugin's method, from DRIFTLINE_TEST_SETTINGS: PARAMS:KNOBS:FLAGS, any of which may be
   empty, and a blank between two settings. They stand after those of the table. */
enum { OWN_SETTINGS = 32 };
static struct {
    char text[4000];
    struct setting settings[OWN_SETTINGS];
    size_t n;
} own;

static bool read_flags(char *names, unsigned *flags)
{
    static const struct {
        const char *name;
        unsigned flag;
    } known[] = { { "exhaustive", EXHAUSTIVE }, { "short", MAY_BE_SHORT },
                  { "no-remove", NO_REMOVE },   { "no-range", NO_RANGE },
                  { "noise", HAS_NOISE },       { "some-spaces", SOME_SPACES },
                  { "untrained", UNTRAINED } };
    char *rest = NULL;
    for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i].name, name) != 0)
            i++;
        if (i == sizeof known / sizeof *known) {
            fprintf(
                stderr,
                "DRIFTLINE_TEST_SETTINGS: no flag is called \"%s\"; expected exhaustive, short, "
                "no-remove, no-range, noise, some-spaces or untrained\n",
                name);
            return false;
        }
        *flags |= known[i].flag;
    }
    return true;
}

static bool read_own_settings(const struct registry *registry)
{
    const char *given = getenv("DRIFTLINE_TEST_SETTINGS");
    char *rest = NULL;
    if (registry->n_plugins == 0 || !given || !*given)
        return true;
    if (strlen(given) >= sizeof own.text) {
        fprintf(stderr, "DRIFTLINE_TEST_SETTINGS: more than %zu bytes\n", sizeof own.text - 1);
        return false;
    }
    strcpy(own.text, given);
    for (char *one = strtok_r(own.text, " \n", &rest); one; one = strtok_r(NULL, " \n", &rest)) {
        char *knobs = strchr(one, ':'), *flags = knobs ? strchr(knobs + 1, ':') : NULL;
        if (!flags || own.n == OWN_SETTINGS) {
            fprintf(stderr,
                    "DRIFTLINE_TEST_SETTINGS: \"%s\": expected PARAMS:KNOBS:FLAGS, such as "
                    "tables=4:nprobe=21:exhaustive, at most %d with a blank between two\n",
                    one, OWN_SETTINGS);
            return false;
        }
        *knobs++ = *flags++ = '\0';
        struct setting *s = &own.settings[own.n++];
        *s = (struct setting){ registry->ops[registry->plugins[0].op]->name, one, knobs, 0 };
        if (!read_flags(flags, &s->flags))
            return false;
    }
    return true;
}

static void add_cases(struct case_state *cases, size_t *n, const struct registry *registry,
                      const struct index_ops *ops, const char *name, world_test *test)
{
    const size_t n_table = sizeof settings / sizeof *settings;
    bool known = false;
    for (size_t i = 0; i <= n_table + own.n; i++) {
        static const struct setting plain = { "", "", "", 0 };
        const bool last = i == n_table + own.n;
        const struct setting *s = last          ? &plain
                                  : i < n_table ? &settings[i]
                                                : &own.settings[i - n_table];
        if (last ? known : strcmp(s->method, ops->name) != 0)
            continue;
        known = true;
        struct case_state *c = &cases[*n];
        *c = (struct case_state){ .subject = { .ops = ops, .registry = registry, .setting = *s },
                                  .test = test,
                                  .number = (*n)++ };
        if (ops->flags & INDEX_EXACT)
            c->subject.setting.flags |= EXHAUSTIVE;
        if (registry->n_plugins > 0)
            c->subject.setting.flags |= PLUGIN;
        (void)snprintf(c->subject.name, sizeof c->subject.name, "%s%s%s%s", ops->name,
                       *s->params ? " " : "", s->params,
                       strstr(s->knobs, "nprobe=2") ? " nprobe=2" : "");
        (void)snprintf(c->name, sizeof c->name, "%s: %s", name, c->subject.name);
    }
}

static bool is_chosen(const struct index_ops *ops, const char *only,
                      bool (*these)(const struct index_ops *))
{
    return test_is_chosen(only, ops->name) && (!these || these(ops));
}

static int list_methods(const struct registry *registry, const char *only,
                        bool (*these)(const struct index_ops *))
{
    for (size_t m = 0; m < registry->n; m++)
        if (is_chosen(registry->ops[m], only, these))
            printf("%s\n", registry->ops[m]->name);
    return 0;
}

static int run_registry(const struct registry *registry, const char *group,
                        const char *const *names, world_test *const *tests, size_t n_tests,
                        bool (*these)(const struct index_ops *))
{
    const char *only = getenv("DRIFTLINE_TEST_METHOD");
    if (!read_own_settings(registry))
        return 1;
    if (registry->n_plugins > 0)
        only = registry->ops[registry->plugins[0].op]->name;
    if (getenv("DRIFTLINE_TEST_LIST_METHODS"))
        return list_methods(registry, only, these);
    const size_t most = n_tests * (registry->n + sizeof settings / sizeof *settings + own.n);
    struct case_state *cases = calloc(most, sizeof *cases);
    struct CMUnitTest *units = calloc(most, sizeof *units);
    size_t n = 0;
    for (size_t m = 0; cases && units && m < registry->n; m++)
        for (size_t t = 0; t < n_tests; t++)
            if (is_chosen(registry->ops[m], only, these))
                add_cases(cases, &n, registry, registry->ops[m], names[t], tests[t]);
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

/* names: where each test's goes, made of its function's in the list. */
static void name_tests(char *list, const char **names)
{
    char *rest = NULL;
    for (char *name = strtok_r(list, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest)) {
        *names++ = name += strlen("test_");
        while ((name = strchr(name, '_')))
            *name = ' ';
    }
}

int world_run_tests(const char *group, bool (*these)(const struct index_ops *), const char *list,
                    world_test *const *tests, size_t n)
{
    struct registry registry;
    struct error error = { 0 };
    test_any_order_of_locks();
    const char *plugin = getenv("DRIFTLINE_TEST_PLUGIN"), *names[TESTS_MOST];
    char *copy = strdup(list);
    name_tests(copy, names);
    int rc = methods_open(&registry, &error);
    if (rc == OK && plugin && *plugin)
        rc = registry_load_plugin(&registry, plugin, &error);
    const int status = rc == OK ? run_registry(&registry, group, names, tests, n, these) : 1;
    if (rc != OK)
        fprintf(stderr, "%s\n", error.text);
    registry_close(&registry);
    free(copy);
    return status;
}
