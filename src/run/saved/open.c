/* open.c - opens a saved index in another process than the one that built it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/core/parallel.h"
#include "src/core/path_print.h"
#include "src/run/measure/folder.h"
#include "src/run/saved/saved.h"
#include "src/run/scratch.h"

enum { DIM_MAX = 1 << 24, THREADS_MAX = 1024 };

static int damaged(const struct saved_index *s, const char *dir, const char *field)
{
    return fail(s->error, ERR_CORRUPT,
                "%s/index.json: the file is damaged: \"%s\" is missing or invalid; build the index "
                "again",
                dir, field);
}

static bool is_state_name(const char *name)
{
    return strncmp(name, "state-", 6) == 0 && name[6] && strlen(name) < 32 &&
           strspn(name + 6, "0123456789") == strlen(name + 6);
}

static int read_about(struct saved_index *s, const char *dir)
{
    char path[PATH_MAX];

    if (path_print(path, s->error, "%s/index.json", dir))
        return ERR_ARGUMENT;
    if (access(path, F_OK) != 0 && errno == ENOTDIR)
        return fail(s->error, ERR_NOT_FOUND,
                    "%s is a file; expected the folder of a saved index, which ./harness build "
                    "CONFIG --save DIR makes",
                    dir);
    if (access(path, F_OK) != 0)
        return fail(s->error, ERR_NOT_FOUND,
                    "%s has no saved index (no index.json); ./harness build CONFIG "
                    "--save %s makes one",
                    dir, dir);
    s->about = json_read(path, s->error);
    if (!s->about)
        return s->error->code;
    const long long format = field_integer(s->about, "driftline_index", 0);
    if (format < 1)
        return damaged(s, dir, "driftline_index");
    if (format != SAVED_FORMAT)
        return fail(
            s->error, ERR_VERSION,
            "%s/index.json: format %lld, written by Driftline %s; this program reads format "
            "%d; build the index again",
            dir, format, field_text(s->about, "version", "?"), SAVED_FORMAT);
    return OK;
}

static int find_method(struct saved_index *s, const struct registry *registry)
{
    const char *plugin = field_text(s->about, "plugin", NULL);

    s->ops = registry_find(registry, field_text(s->about, "method", ""), s->error);
    if (s->ops)
        return OK;
    /* A plugin is loaded only from the command line: the folder may be from somebody else. */
    if (plugin) {
        error_clear(s->error);
        return fail(s->error, ERR_NOT_FOUND,
                    "the index is of method \"%s\", which was the plugin %s; load it with --plugin",
                    field_text(s->about, "method", ""), plugin);
    }
    return fail_within(s->error, "the method of the index");
}

static int fill_env(struct saved_index *s, const char *dir, const struct kernels *kernels,
                    size_t threads)
{
    const json_t *about = s->about;
    const long long dim = field_integer(about, "dim", 0), rows = field_integer(about, "rows", -1);
    const long long k = field_integer(about, "k", 0), built = field_integer(about, "threads", 0);

    const struct {
        bool valid;
        const char *field;
    } fields[] = {
        { dim >= 1 && dim <= DIM_MAX, "dim" },
        { rows >= 0, "rows" },
        { built >= 1 && built <= THREADS_MAX, "threads" },
        { index_element_named(field_text(about, "element", ""), &s->env.element), "element" },
        { index_metric_named(field_text(about, "metric", ""), &s->env.metric), "metric" },
        { is_state_name(field_text(about, "state", "")), "state" },
    };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!fields[i].valid)
            return damaged(s, dir, fields[i].field);
    s->env.dim = (size_t)dim;
    s->env.expected_n = (size_t)rows;
    s->env.k_hint = k > 0 ? (size_t)k : 0;
    s->env.seed = (uint64_t)field_integer(about, "seed", 0);
    s->pool = pool_create(threads ? threads : (size_t)built);
    if (!s->pool)
        return fail(s->error, ERR_NO_MEMORY, "cannot start %zu threads",
                    threads ? threads : (size_t)built);
    s->env.mem = &s->account;
    s->env.pool = s->pool;
    s->env.kernels = kernels;
    s->env.error = s->error;
    s->env.device = "cpu";
    return OK;
}

/* In a folder of temporary files where that of the index is not writable. */
static int make_scratch(struct saved_index *s, const char *dir)
{
    const char *temporary = getenv("TMPDIR");
    const char *const parents[] = { dir, temporary && *temporary ? temporary : "/tmp" };
    size_t folders, processes;
    int rc = OK;

    for (size_t i = 0; i < 2; i++) {
        error_clear(s->error);
        scratch_sweep(parents[i], &folders, &processes);
        rc = scratch_make(parents[i], s->scratch, sizeof s->scratch, s->error);
        if (rc == OK)
            break;
        s->scratch[0] = '\0';
    }
    if (rc != OK)
        return fail_within(s->error, "%s cannot be written, nor the folder of TMPDIR or /tmp", dir);
    s->scratch_lock = scratch_lock(s->scratch);
    s->env.dir = s->scratch;
    return OK;
}

/* Whether an update has replaced the index since its index.json was read, and so removed the folder that it named. */
static bool was_replaced(const struct saved_index *s, const char *dir)
{
    struct error unread = { 0 };
    struct saved_index now = { .error = &unread };
    const bool replaced =
        s->about && read_about(&now, dir) == OK &&
        strcmp(field_text(now.about, "state", ""), field_text(s->about, "state", "")) != 0;

    json_decref(now.about);
    return replaced;
}

static int open_now(struct saved_index *s, const char *dir, const struct registry *registry,
                    const struct kernels *kernels, size_t threads, struct error *err)
{
    *s = (struct saved_index){ .error = err };
    int rc = read_about(s, dir);
    if (rc == OK)
        rc = find_method(s, registry);
    if (rc == OK)
        rc = fill_env(s, dir, kernels, threads);
    s->shards = (struct shard_env){ .registry = registry };
    s->env.shards = &s->shards;
    if (rc == OK)
        rc = path_print(s->state, err, "%s/%s", dir, field_text(s->about, "state", ""));
    if (rc == OK)
        rc = make_scratch(s, dir);
    if (rc == OK && (rc = index_open_saved(&s->checked, s->ops, &s->env, s->state, NULL)) != OK)
        rc = fail_within(err, "%s, built by Driftline %s%s", dir,
                         field_text(s->about, "version", "?"),
                         rc == ERR_CORRUPT ? ", is damaged; build it again" : "");
    return rc;
}

int saved_open(struct saved_index *s, const char *dir, const struct registry *registry,
               const struct kernels *kernels, size_t threads, struct error *err)
{
    int rc = open_now(s, dir, registry, kernels, threads, err);

    while (rc != OK && was_replaced(s, dir)) {
        saved_close(s);
        error_clear(err);
        rc = open_now(s, dir, registry, kernels, threads, err);
    }
    return rc;
}

void saved_close(struct saved_index *s)
{
    index_close(&s->checked);
    if (s->pool)
        pool_destroy(s->pool);
    if (s->scratch[0]) {
        folder_remove(s->scratch);
        if (s->scratch_lock >= 0)
            (void)close(s->scratch_lock);
    }
    json_decref(s->about);
}
