/* cmd_dump.c - `dump RESULT`: prints the ids that each cell returned, as tab-separated lines. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/cli/commands.h"
#include "src/cli/support/app.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/plan/plan.h"
#include "src/result/result.h"
#include "src/run/answers_file.h"

/* The answers of one cell, and its file. */
struct dumped {
    const struct app *app;
    struct result file; /* cells/N.json: a cell per point */
    const char *path;
    size_t left_out;
    bool clusters; /* with a column for the cluster of each answer */
};

/* Queries run in a shuffled order; the output is sorted by their position in the operation. */
struct query_place {
    uint64_t position;
    size_t at;
};

/* clusters: of the answers, NULL if they are not known. with: whether there is a column for them. */
static void print_answers(const char *head, const struct answers_entry *e, const uint64_t *clusters,
                          bool with)
{
    const struct answers *a = &e->answers;
    struct query_place *order = app_made(mem_array(NULL, a->n + 1, sizeof *order));

    for (size_t q = 0; q < a->n; q++)
        order[q] = (struct query_place){ a->positions[q], q };
    qsort(order, a->n, sizeof *order, order_u64);
    for (size_t i = 0; i < a->n; i++) {
        const size_t q = order[i].at;
        const size_t from = a->starts ? (size_t)a->starts[q] : q * e->k;
        const size_t to = a->starts ? (size_t)a->starts[q + 1] : from + e->k;

        for (size_t j = from; j < to; j++) {
            if (a->ids[j] == INDEX_NO_ID)
                continue;
            quote_terminal(stdout, head);
            printf("\t%" PRIu64 "\t%zu\t%" PRIu64 "%s", a->positions[q] + 1, j - from + 1,
                   a->ids[j], with ? "\t" : "");
            if (clusters && clusters[j] != INDEX_NO_CLUSTER)
                printf("%" PRIu64, clusters[j]);
            putchar('\n');
        }
    }
    mem_free(NULL, order);
}

static void print_entry(const struct dumped *d, const struct answers_entry *e,
                        const uint64_t *clusters)
{
    const struct answers *a = &e->answers;
    const size_t point = e->point == SIZE_MAX ? 0 : e->point;
    char head[600];

    if (point >= d->file.n)
        return;
    const struct result_cell *cell = &d->file.cells[point];
    const struct result_step *step = result_step_of(cell, a->op);
    (void)snprintf(head, sizeof head, "%s\t%zu\t%zu\t%s", cell->name, cell->repeat + 1, a->op + 1,
                   step ? step->tag : "");
    print_answers(head, e, clusters, d->clusters);
}

/* The clusters of answers are in the entry after them. */
static int dump_file(struct dumped *d, struct error *error)
{
    FILE *file = fopen(d->path, "rb");
    struct answers_entry entry, next;
    int rc, more;

    if (!file)
        return errno == ENOENT ? OK : fail_errno(error, ERR_IO, "%s: cannot be read", d->path);
    rc = answers_file_read(file, d->path, &entry, error);
    for (; rc == 1; rc = more, entry = next) {
        more = answers_file_read(file, d->path, &next, error);
        const bool clusters = more == 1 && next.answers.pass == PASS_CLUSTERS &&
                              next.answers.n_ids == entry.answers.n_ids;

        if (entry.kept && entry.answers.pass != PASS_CLUSTERS)
            print_entry(d, &entry, clusters && next.kept ? next.answers.ids : NULL);
        d->left_out += !entry.kept && entry.answers.pass != PASS_CLUSTERS;
        free(entry.words);
    }
    (void)fclose(file);
    return rc;
}

/* Whether the file has clusters of answers. That it is damaged is said when it is printed. */
static bool has_clusters(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct answers_entry entry;
    struct error ignored = { 0 };
    bool found = false;

    while (file && !found && answers_file_read(file, path, &entry, &ignored) == 1) {
        found = entry.answers.pass == PASS_CLUSTERS;
        free(entry.words);
    }
    if (file)
        (void)fclose(file);
    return found;
}

/* Prints each cell that has both cells/N.json and cells/N.answers, in the order of N. */
static int dump_cells(struct app *app, const char *dir, size_t *found, size_t *left_out,
                      struct error *error)
{
    size_t n = 0;
    unsigned long *numbers = result_stored_numbers(dir, &n);
    char json[PATH_MAX], answers[PATH_MAX];
    bool clusters = false;
    int rc = OK;

    for (size_t i = 0; !clusters && i < n; i++) {
        (void)snprintf(answers, sizeof answers, "%s/cells/%lu.answers", dir, numbers[i]);
        clusters = has_clusters(answers);
    }
    printf("label\trepeat\toperation\ttag\tquery\trank\tid%s\n", clusters ? "\tcluster" : "");
    for (size_t i = 0; rc == OK && i < n; i++) {
        struct stat st;

        (void)snprintf(json, sizeof json, "%s/cells/%lu.json", dir, numbers[i]);
        (void)snprintf(answers, sizeof answers, "%s/cells/%lu.answers", dir, numbers[i]);
        if (stat(answers, &st) != 0)
            continue;
        json_t *file = json_read(json, error);
        struct dumped d = { .app = app, .path = answers, .clusters = clusters };
        rc = file ? result_open(&d.file, file, error) : error->code;
        if (rc == OK && (!d.file.n || plan_wants(&app->options, d.file.cells[0].label))) {
            rc = dump_file(&d, error);
            *left_out += d.left_out;
            *found += 1;
        }
        result_close(&d.file);
        json_decref(file);
    }
    mem_free(NULL, numbers);
    return rc;
}

int command_dump(struct app *app, struct error *error)
{
    char *dir;
    size_t found = 0, left_out = 0;
    int rc = result_dir(app->arguments[0], &dir, error);

    rc = rc ? rc : dump_cells(app, dir, &found, &left_out, error);
    if (rc == OK && found == 0)
        rc = fail(error, ERR_NOT_FOUND,
                  "%s: no cell%s has stored answers (cells/NUMBER.answers); run the config again, "
                  "which stores them",
                  dir, app->options.n_only ? " of --only" : "");
    if (left_out > 0)
        app_warn(app,
                 "the answers of %zu searches were not stored: at most %zu MiB of answers are "
                 "stored for a cell",
                 left_out, ANSWERS_BYTES_MAX >> 20);
    free(dir);
    return rc == OK ? EXIT_OK : EXIT_USAGE;
}
