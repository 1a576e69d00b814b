/* rows.c - see rows.h. */
#include "src/config/data/rows.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/config/data/catalog.h"
#include "src/core/mem.h"

static int open_part(const char *given, const char *name, const char *part,
                     const struct run_options *options, struct source **out, struct error *err)
{
    struct catalog *catalog;
    char sha256[65];
    size_t n;

    if (catalog_open(&catalog, options, err))
        return err->code;
    const struct catalog_entry *entry = catalog_find(catalog, name);
    const char *const *names = catalog_names(catalog, &n);
    const int rc = entry
                       ? catalog_open_part(entry, part, options, out, sha256, err)
                       : fail(err, ERR_NOT_FOUND,
                              "%s: no such file, nor a dataset \"%s\"%s  (./harness list datasets)",
                              given, name, error_hint(name, names, n).text);
    catalog_close(catalog);
    return rc;
}

int catalog_rows_open(const char *given, const struct file_options *how,
                      const struct run_options *run, struct source **out, struct error *err)
{
    const char *colon = strrchr(given, ':');
    struct file_options options = *how;
    char name[PATH_MAX];

    if (access(given, F_OK) == 0 || !colon || !colon[1] || colon - given >= PATH_MAX)
        return file_open(given, &options, out, err);
    (void)snprintf(name, sizeof name, "%.*s", (int)(colon - given), given);
    if (access(name, F_OK) != 0)
        return open_part(given, name, colon + 1, run, out, err);
    options.dataset = colon + 1;
    return file_open(name, &options, out, err);
}

void *catalog_rows_read(const struct source *s, enum element want, struct error *err)
{
    const size_t count = s->n * s->dim;
    void *rows = mem_array(NULL, s->n, source_row_bytes(s));
    if (!rows)
        fail(err, ERR_NO_MEMORY, "%s: out of memory for %zu rows", s->name, s->n);
    if (!rows || source_read(s, 0, s->n, rows, err) != OK) {
        mem_free(NULL, rows);
        return NULL;
    }
    /* A code has the same bytes. */
    if (s->element == want || (s->element == INDEX_U8 && want == INDEX_B64))
        return rows;
    void *out = mem_array(NULL, s->n, data_row_bytes(want, s->dim));
    const size_t fit = out ? data_convert_elements(s->element, rows, want, out, count) : 0;
    mem_free(NULL, rows);
    if (!out)
        fail(err, ERR_NO_MEMORY, "%s: out of memory for %zu rows", s->name, s->n);
    else if (fit < count)
        fail(err, ERR_DIMENSION, "%s: row %zu, column %zu: the %s value does not fit in %s",
             s->name, fit / s->dim + 1, fit % s->dim + 1, data_element_name(s->element),
             data_element_name(want));
    if (out && fit == count)
        return out;
    mem_free(NULL, out);
    return NULL;
}
