/* method.c - external: a method in a process of its own, in any language. docs/external.md has
 * the protocol. */
#include "algorithms/external/external.h"

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
    return external_open(out, &external_ops, env, given, NULL);
}

static int load(struct index **out, const struct index_env *env, const char *dir)
{
    return external_load(out, &external_ops, env, dir);
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
      .create = (create_), .destroy = external_destroy, .insert = external_insert,  \
      .search = external_search, .remove = external_remove, .save = external_save,  \
      .load = (load_), .stats = report, .memory = memory, .check = external_check }
// clang-format on

const struct index_ops external_ops = EXTERNAL_TABLE(create, load);
const struct index_ops external_locked_ops = EXTERNAL_TABLE(refuse_create, refuse_load);
