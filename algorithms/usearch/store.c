/* store.c - saving and loading: usearch's own file, and beside it the parameters and the number
   of rows. */
#include "algorithms/usearch/usearch.h"

#include <sys/stat.h>

#include "algorithms/common/durable/baseline_file.h"
#include "src/core/parallel.h"

static int write_graph(const struct index *index, const char *path)
{
    const struct usearch *self = (const struct usearch *)index;
    usearch_error_t words = NULL;
    struct stat written;
    usearch_save(self->graph, path, &words);
    if (words)
        return fail(index->env.error, ERR_IO, "save: usearch: %s: %s", path, words);
    /* usearch does not check whether closing the file succeeded. */
    const size_t expected = usearch_serialized_length(self->graph, &words);
    if (stat(path, &written) != 0 || (size_t)written.st_size != expected)
        return fail(index->env.error, ERR_IO,
                    "save: usearch could not write the %zu bytes of %s (is the disk full?)",
                    expected, path);
    return OK;
}

int usearch_method_save(struct index *index, const char *dir)
{
    const struct usearch *self = (const struct usearch *)index;
    struct baseline_meta meta = { .rows = self->live };
    /* An empty index has no file, because usearch cannot read an empty one. */
    return baseline_file_save(index, dir, &meta, &self->params, write_graph, self->live > 0);
}

int usearch_method_load(struct index **out, const struct index_ops *ops,
                        const struct index_env *env, const char *dir)
{
    struct baseline_meta meta;
    struct usearch_params params;
    struct usearch_shim_facts facts;
    char path[PATH_MAX];
    int code = baseline_file_open(ops, env, dir, &meta, &params, path);
    if (code == OK)
        code = usearch_method_open(out, ops, env, &params, path[0] ? path : NULL);
    if (code != OK)
        return code;
    struct usearch *self = (struct usearch *)*out;
    usearch_shim_get_facts(self->graph, &facts);
    if (facts.places - facts.deleted != meta.rows) {
        code = fail(env->error, ERR_CORRUPT, "load: %s holds %zu rows, expected %zu", path,
                    facts.places - facts.deleted, (size_t)meta.rows);
    } else if (facts.places > 0) {
        /* A loaded graph has room for searches by as many threads as there are processors. */
        code =
            usearch_shim_reserve(self->graph, facts.capacity, pool_threads(env->pool), env->error);
    }
    if (code != OK) {
        usearch_method_destroy(*out);
        *out = NULL;
        return code;
    }
    self->live = meta.rows;
    return OK;
}
