/* method.c - external: a method in a process of its own, in any language. docs/external.md has
 * the protocol. */
#include "algorithms/external/external.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/baseline/baseline_file.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* ---- creating */

static int ask(struct external *x, const char *path)
{
    const struct index_env *env = &x->base.env;
    const struct external_request r = {
        .operation = path ? EXTERNAL_LOAD : EXTERNAL_CREATE,
        .k = env->k_hint,
        .threads = pool_threads(env->pool),
        .dim = env->dim,
        .element = (uint64_t)env->element,
        .metric = (uint64_t)env->metric,
        .expected_n = env->expected_n,
        .seed = env->seed,
    };
    struct external_answer answer;
    const int rc = external_put_texts(x, path ? path : env->dir ? env->dir : "", x->params.options);
    return rc == OK ? external_call(x, &r, &answer) : rc;
}

static void destroy(struct index *index)
{
    struct external *x = (struct external *)index;
    struct external_answer answer;
    x->base.env.error = NULL; /* the end reports nothing */
    if (x->client.pid > 0) {
        external_client_set_timeout(&x->client, EXTERNAL_END_US);
        (void)external_call(x, &(struct external_request){ .operation = EXTERNAL_END }, &answer);
    }
    external_client_end(x);
    idmap_free(&x->live);
    mem_free(index->env.mem, x);
}

static int open_client(struct index **out, const struct index_env *env,
                       const struct external_params *params, const char *path)
{
    struct external *x = mem_zalloc(env->mem, sizeof *x);
    if (!x)
        return fail(env->error, ERR_NO_MEMORY, "external: out of memory for an index");
    x->base = (struct index){ .ops = &external_ops, .env = *env };
    x->params = *params;
    idmap_init(&x->live, env->mem);
    int rc = external_client_start(x);
    if (rc == OK)
        rc = external_measure(x);
    if (rc == OK)
        rc = ask(x, path);
    if (rc == OK)
        *out = &x->base;
    else
        destroy(&x->base);
    return rc;
}

/* ---- saving and loading */

static int write_file(const struct index *index, const char *path)
{
    struct external *x = (struct external *)(uintptr_t)index;
    const struct external_request r = { .operation = EXTERNAL_SAVE };
    struct external_answer answer;
    int rc = external_put_texts(x, path, "");
    if (rc == OK)
        rc = external_call(x, &r, &answer);
    if (rc == OK && access(path, F_OK) != 0)
        rc = fail(index->env.error, ERR_BASELINE,
                  "external: client \"%s\" answered save, but wrote no file at the path of the "
                  "request: %s",
                  x->client.name, path);
    return rc;
}

static int save(struct index *index, const char *dir)
{
    const struct external *x = (const struct external *)index;
    const struct baseline_meta meta = { .rows = x->live.n };
    if (!(x->client.capabilities & EXTERNAL_CAN_SAVE))
        return fail(index->env.error, ERR_UNSUPPORTED, "external: client \"%s\" cannot save",
                    x->client.name);
    return baseline_file_save(index, dir, &meta, &x->params, write_file, true);
}

static int read_ids(struct external *x, uint64_t rows)
{
    enum { BLOCK = 1 << 16 };
    struct external_answer answer;
    struct external_request r = { .operation = EXTERNAL_IDS, .ids_at = EXTERNAL_DATA_AT };
    if (!idmap_reserve(&x->live, rows))
        return fail(x->base.env.error, ERR_NO_MEMORY, "external: out of memory for %" PRIu64 " ids",
                    rows);
    while (x->live.n < rows) {
        const uint64_t left = rows - x->live.n;
        r.k = x->live.n;
        r.n = left < BLOCK ? left : BLOCK;
        const int rc = external_call(x, &r, &answer);
        if (rc != OK)
            return rc;
        for (uint64_t i = 0; i < answer.done; i++) {
            uint64_t id;
            memcpy(&id, (const char *)x->client.shared + r.ids_at + i * sizeof id, sizeof id);
            if (id != INDEX_NO_ID)
                (void)idmap_put(&x->live, id, 1); /* cannot fail: reserved */
        }
        if (answer.done < r.n || x->live.n != r.k + r.n)
            return external_client_lose(x, "lists %zu ids after a load, expected %" PRIu64,
                                        x->live.n, rows);
    }
    return OK;
}

static int check(const struct index *index, struct stat_sink *sink)
{
    struct external *x = (struct external *)(uintptr_t)index;
    const struct external_request r = { .operation = EXTERNAL_COUNT, .n = UINT64_MAX };
    struct external_answer answer;
    (void)sink;
    const int rc = external_call(x, &r, &answer);
    if (rc == OK && answer.done != x->live.n)
        return fail(index->env.error, ERR_INVARIANT,
                    "external: client \"%s\" holds %" PRIu64 " rows, expected %zu", x->client.name,
                    answer.done, x->live.n);
    return rc;
}

static int load(struct index **out, const struct index_env *env, const char *dir)
{
    struct baseline_meta meta;
    struct external_params params;
    char path[PATH_MAX];
    int rc = baseline_file_open(&external_ops, env, dir, &meta, &params, path);
    if (rc == OK)
        rc = open_client(out, env, &params, path);
    if (rc != OK)
        return rc;
    rc = read_ids((struct external *)*out, meta.rows);
    if (rc == OK)
        rc = check(*out, NULL);
    if (rc != OK) {
        destroy(*out);
        *out = NULL;
    }
    return rc;
}

/* Insert, remove and search: rows, ids and answers by way of the shared memory, a block at a time,
 * and answers held to what an answer may be. */

/* Blocks are small enough that the pages they touch stay few, and large enough that a call per
   block costs nothing: at 3 us per call and 10 GB/s, 1 % of copying alone. A request that cannot
   be divided may take all of the memory. */
enum { BLOCK_BYTES = 4 << 20, ALIGNMENT = 64 };

/* Reserves `bytes` of the shared memory at *end. */
static uint64_t place(uint64_t *end, uint64_t bytes)
{
    const uint64_t at = *end;
    *end += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

static void *at_offset(struct external *x, uint64_t at)
{
    return (char *)x->client.shared + at;
}

static size_t block_of(size_t bytes_each, size_t left)
{
    const size_t most = bytes_each < BLOCK_BYTES ? BLOCK_BYTES / bytes_each : 1;
    return left < most ? left : most;
}

/* ---- insert, remove */

static int insert_block(struct external *x, struct vectors v, const uint64_t *ids, size_t *done)
{
    const size_t bytes = v.n * index_row_bytes(v.element, v.dim);
    uint64_t end = EXTERNAL_DATA_AT;
    struct external_request r = { .operation = EXTERNAL_INSERT, .n = v.n };
    struct external_answer answer;
    r.threads = pool_threads(x->base.env.pool);
    r.rows_at = place(&end, bytes);
    r.ids_at = place(&end, v.n * sizeof *ids);
    memcpy(at_offset(x, r.rows_at), v.rows, bytes);
    memcpy(at_offset(x, r.ids_at), ids, v.n * sizeof *ids);
    const int rc = external_call(x, &r, &answer);
    *done = answer.done <= v.n ? (size_t)answer.done : 0;
    if (rc == OK && *done < v.n)
        return external_client_lose(x, "answered insert of %zu rows with %zu done and no error",
                                    v.n, *done);
    return rc;
}

static int insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct external *x = (struct external *)index;
    const size_t row_bytes = index_row_bytes(v.element, v.dim);
    int rc = OK;
    *done = 0;
    if (!idmap_reserve(&x->live, x->live.n + v.n))
        return fail(index->env.error, ERR_NO_MEMORY, "external: out of memory for %zu ids", v.n);
    while (rc == OK && *done < v.n) {
        size_t did = 0;
        struct vectors block = v;
        block.rows = (const char *)v.rows + *done * row_bytes;
        block.n = block_of(row_bytes + sizeof *ids, v.n - *done);
        rc = insert_block(x, block, ids + *done, &did);
        for (size_t i = 0; i < did; i++)
            (void)idmap_put(&x->live, ids[*done + i], 1); /* cannot fail: reserved */
        *done += did;
    }
    return rc;
}

static int remove_ids(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct external *x = (struct external *)index;
    int rc = OK;
    *done = 0;
    if (!(x->client.capabilities & EXTERNAL_CAN_DELETE))
        return fail(index->env.error, ERR_UNSUPPORTED, "external: client \"%s\" cannot delete",
                    x->client.name);
    while (rc == OK && *done < n) {
        const size_t block = block_of(sizeof *ids, n - *done);
        const struct external_request r = { .operation = EXTERNAL_DELETE,
                                            .n = block,
                                            .ids_at = EXTERNAL_DATA_AT };
        struct external_answer answer;
        memcpy(at_offset(x, r.ids_at), ids + *done, block * sizeof *ids);
        rc = external_call(x, &r, &answer);
        const size_t did = answer.done <= block ? (size_t)answer.done : 0;
        for (size_t i = 0; i < did; i++)
            (void)idmap_remove(&x->live, ids[*done + i], NULL);
        *done += did;
        if (rc == OK && did < block)
            rc = external_client_lose(x, "answered delete of %zu rows with %zu done and no error",
                                      block, did);
    }
    return rc;
}

/* ---- search */

static int lose_answer(struct external *x, size_t i, const char *what, uint64_t id, float distance)
{
    return external_client_lose(
        x, "answered a search with id %" PRIu64 " at distance %g, rank %zu: %s", id,
        (double)distance, i + 1, what);
}

/* Holds the k answers to one query, which are a copy, to the contract. */
static int check_answers(struct external *x, size_t k, const struct id_filter *filter,
                         const uint64_t *ids, float *distances)
{
    size_t n = 0;
    for (; n < k && ids[n] != INDEX_NO_ID; n++) {
        const float d = distances[n];
        const char *fault = !isfinite(d)                    ? "the distance is not finite"
                            : n > 0 && d < distances[n - 1] ? "it is nearer than the one before"
                            : !idmap_get(&x->live, ids[n], NULL) ? "the id is not stored"
                            : !index_filter_allows(filter, ids[n])
                                ? "the filter does not allow the id"
                                : NULL;
        if (fault)
            return lose_answer(x, n, fault, ids[n], d);
    }
    for (size_t i = n; i < k; i++) {
        if (ids[i] != INDEX_NO_ID)
            return lose_answer(x, i, "there is none before it", ids[i], distances[i]);
        distances[i] = INFINITY;
    }
    return OK;
}

static double reported(uint64_t number)
{
    return number == UINT64_MAX ? (double)NAN : (double)number;
}

static int search_block(struct external *x, const struct search_request *s, size_t first, size_t n,
                        struct search_result *result)
{
    const size_t row_bytes = index_row_bytes(s->queries.element, s->queries.dim), k = s->k;
    const struct id_filter *filter = s->filter && s->filter->n_ids > 0 ? s->filter : NULL;
    uint64_t *ids = result->ids + first * k, end = EXTERNAL_DATA_AT;
    float *distances = result->distances + first * k;
    const struct external_knobs *knobs = s->knobs;
    struct external_request r = { .operation = EXTERNAL_SEARCH, .n = n, .k = k };
    struct external_answer answer;
    r.threads = s->threads;
    r.effort = (uint64_t)knobs->effort;
    r.rows_at = place(&end, n * row_bytes);
    r.ids_at = place(&end, n * k * sizeof *ids);
    r.distances_at = place(&end, n * k * sizeof *distances);
    if (filter) {
        r.filter_ids = filter->n_ids;
        r.filter_at = place(&end, (filter->n_ids + 63) / 64 * 8);
        if (end <= EXTERNAL_SHARED_BYTES)
            memcpy(at_offset(x, r.filter_at), filter->bits, (filter->n_ids + 63) / 64 * 8);
    }
    if (end > EXTERNAL_SHARED_BYTES)
        return fail(x->base.env.error, ERR_UNSUPPORTED,
                    "external: a search with k = %zu and a filter over %" PRIu64
                    " ids does not fit into %d MiB of shared memory",
                    k, r.filter_ids, EXTERNAL_SHARED_BYTES >> 20);
    memcpy(at_offset(x, r.rows_at), (const char *)s->queries.rows + first * row_bytes,
           n * row_bytes);
    memset(at_offset(x, r.ids_at), 0xff, n * k * sizeof *ids); /* INDEX_NO_ID: no answer yet */
    int rc = external_call(x, &r, &answer);
    if (rc != OK)
        return rc;
    memcpy(ids, at_offset(x, r.ids_at), n * k * sizeof *ids);
    memcpy(distances, at_offset(x, r.distances_at), n * k * sizeof *distances);
    for (size_t q = 0; q < n && rc == OK; q++)
        rc = check_answers(x, k, s->filter, ids + q * k, distances + q * k);
    result->work.distances += reported(answer.distances);
    result->work.bytes_read += reported(answer.bytes);
    return rc;
}

static int search(struct index *index, const struct search_request *s, struct search_result *result)
{
    struct external *x = (struct external *)index;
    const size_t each = index_row_bytes(s->queries.element, s->queries.dim) +
                        s->k * (sizeof *result->ids + sizeof *result->distances);
    int rc = OK;
    if (s->filter && s->filter->n_ids == 0) { /* allows none: there is nothing to ask */
        index_answer_none(s, result);
        return OK;
    }
    if (s->filter && !(x->client.capabilities & EXTERNAL_CAN_FILTER))
        return fail(index->env.error, ERR_UNSUPPORTED,
                    "external: client \"%s\" has no filters; deletes = \"filter\" and the like are "
                    "the harness's own",
                    x->client.name);
    for (size_t at = 0, n; at < s->queries.n && rc == OK; at += n) {
        n = block_of(each, s->queries.n - at);
        rc = search_block(x, s, at, n, result);
    }
    return rc;
}

static const struct param params[] = {
    PARAM_TEXT(struct external_params, command, "",
               "the program that is the client, and its arguments, separated by blanks; it must be "
               "given"),
    PARAM_TEXT(struct external_params, options, "",
               "passed to the client when it creates an index, such as M=16; the client defines "
               "them"),
    PARAM_BOOL(struct external_params, shell, false,
               "/bin/sh runs the command, with quotes, variables and pipes"),
    PARAM_REAL(struct external_params, timeout_s, 600, .01, 1e6,
               "seconds after which a call without an answer ends the client and the cell"),
    PARAM_END,
};

static const struct param knobs[] = {
    PARAM_INT(struct external_knobs, effort, 0, 0, 1 << 30,
              "passed with each search; the client defines it, such as ef_search; 0: the client's "
              "default"),
    PARAM_END,
};

static int create(struct index **out, const struct index_env *env, const void *given)
{
    return open_client(out, env, given, NULL);
}

static int refuse_load(struct index **out, const struct index_env *env, const char *dir)
{
    (void)out;
    return fail(env->error, ERR_CONFIG,
                "external: the index in %s starts a program; if you trust it, repeat the command "
                "with --allow-programs",
                dir);
}

static int refuse_create(struct index **out, const struct index_env *env, const void *given)
{
    const struct external_params *p = given;
    (void)out;
    return fail(env->error, ERR_CONFIG,
                "external: the config starts the program \"%s\"; if you trust it, repeat the "
                "command with --allow-programs",
                p->command);
}

static int report(const struct index *index, struct stat_sink *sink)
{
    const struct external *x = (const struct external *)index;
    sink->value(sink->to, "rows", (double)x->live.n);
    sink->value(sink->to, "call_overhead_ns", x->overhead_ns);
    sink->value(sink->to, "client_bytes", (double)external_client_resident_bytes(&x->client));
    return OK;
}

/* The client's parts are not known. Memory of its own children is in the harness's rss_bytes. */
static int memory(const struct index *index, struct memory_use *use)
{
    const struct external *x = (const struct external *)index;
    *use = (struct memory_use){ .ids = idmap_bytes(&x->live),
                                .other = sizeof *x + external_client_resident_bytes(&x->client) };
    return OK;
}

/* The harness widens rows of bytes to floats. */
static const struct index_space spaces[] = {
    { INDEX_F32, INDEX_L2SQ },    { INDEX_F32, INDEX_IP }, { INDEX_F32, INDEX_COS },
    { INDEX_B64, INDEX_HAMMING }, INDEX_SPACES_END,
};

// clang-format off
#define EXTERNAL_TABLE(create_, load_)                                              \
    { .abi = INDEX_ABI, .name = "external",                                         \
      .summary = "a program of yours, in any language, in a process of its own",    \
      .source = "Driftline; the client is the method", .spaces = spaces,            \
      .params = params, .params_bytes = sizeof(struct external_params),             \
      .knobs = knobs, .knobs_bytes = sizeof(struct external_knobs),                 \
      .create = (create_), .destroy = destroy, .insert = insert,  \
      .search = search, .remove = remove_ids, .save = save,  \
      .load = (load_), .stats = report, .memory = memory, .check = check }
// clang-format on

const struct index_ops external_ops = EXTERNAL_TABLE(create, load);
const struct index_ops external_locked_ops = EXTERNAL_TABLE(refuse_create, refuse_load);
