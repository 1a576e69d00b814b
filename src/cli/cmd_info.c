/* cmd_info.c - `list`, `describe`, `version`, `bench`: the parts of this build. */
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/base/table.h"
#include "src/bench/bench.h"
#include "src/cli/commands.h"
#include "src/cli/configs.h"
#include "src/cli/support/app.h"
#include "src/config/data/catalog.h"
#include "src/core/stamp/stamp.h"

#include "build_info.h"

static void list_methods(const struct app *app)
{
    struct table table;
    table_begin(&table, "method|source|summary");
    for (size_t i = 0; i < app->registry.n; i++) {
        const struct index_ops *ops = app->registry.ops[i];
        table_add(&table, "%s", ops->name);
        table_add(&table, "%s", ops->source);
        table_add(&table, "%s", ops->summary);
    }
    table_end(&table, stdout);
#define MISSING(name, why) printf("not in this build: %s: %s\n", name, why);
    BUILD_MISSING(MISSING)
#undef MISSING
}

static int list_datasets(const struct app *app, struct error *error)
{
    struct catalog *catalog;
    if (catalog_open(&catalog, &app->options, error))
        return EXIT_USAGE;
    size_t n;
    const char *const *names = catalog_names(catalog, &n);
    struct table table;
    table_begin(&table, "dataset|metric|from|about");
    for (size_t i = 0; i < n; i++) {
        struct catalog_entry *entry = catalog_find(catalog, names[i]);
        char from[64];
        table_add(&table, "%s", names[i]);
        table_add(&table, "%s", index_metric_name(entry->metric));
        catalog_origin_now(entry, &app->options, from, sizeof from);
        table_add(&table, "%s", from);
        table_add(&table, "%s", entry->entry.about);
    }
    table_end(&table, stdout);
    catalog_close(catalog);
    return EXIT_OK;
}

static void list_kernels(const struct app *app)
{
    for (int isa = ISA_SCALAR; isa <= ISA_AVX512; isa++) {
        const struct kernels *k = kernels_select((enum isa)isa);
        if ((int)k->isa != isa)
            continue;
        printf("%s%s\n", k->name, k == app->kernels ? "  (chosen)" : "");
    }
}

int command_list(struct app *app, struct error *error)
{
    const char *what = app->n_arguments ? app->arguments[0] : NULL;
    static const char *const kinds[] = { "methods", "datasets", "configs", "kernels" };
    int status = EXIT_OK;
    bool known = !what;
    for (size_t i = 0; i < 4; i++) {
        if (what && strcmp(what, kinds[i]) != 0)
            continue;
        known = true;
        if (!what)
            printf("%s%s\n", i ? "\n" : "", kinds[i]);
        switch (i) {
            case 0: list_methods(app); break;
            case 1: status = list_datasets(app, error); break;
            case 2: configs_list(app); break;
            default: list_kernels(app);
        }
    }
    if (known)
        return status;
    fail(error, ERR_CONFIG, "list: expected methods, datasets, configs or kernels, not \"%s\"%s",
         what, error_hint(what, kinds, 4).text);
    return EXIT_USAGE;
}

static void describe_table(const char *title, const struct param *table)
{
    if (!param_count(table))
        return;
    printf("\n%s\n", title);
    for (const struct param *p = table; p->name; p++) {
        char line[800];
        param_describe(p, line, sizeof line);
        printf("  %s\n", line);
    }
}

static void describe_capabilities(const struct index_ops *ops)
{
    const struct {
        const char *name;
        bool has;
    } all[] = {
        { "train", ops->train },
        { "insert", ops->insert },
        { "delete", ops->remove },
        { "search", ops->search },
        { "range", ops->range },
        { "maintain", ops->maintain },
        { "set", ops->set_params },
        { "save", ops->save },
        { "reload", ops->load },
        { "stats", ops->stats },
        { "memory", ops->memory },
        { "check", ops->check },
        { "inspect", ops->inspect },
        { "clusters", ops->cluster },
        { "transactions", ops->txn },
        { "exact", ops->flags & INDEX_EXACT },
        { "concurrent search", ops->flags & INDEX_CONCURRENT_SEARCH },
        { "concurrent update", ops->flags & INDEX_CONCURRENT_UPDATE },
    };
    const char *before = "can:     ";
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].has) {
            printf("%s%s", before, all[i].name);
            before = ", ";
        }
    printf("\nspaces: ");
    for (const struct index_space *s = ops->spaces; (int)s->element >= 0; s++)
        printf("%s %s %s%s", s == ops->spaces ? "" : ";", index_element_name(s->element),
               index_metric_name(s->metric),
               s->element != INDEX_B64                                       ? ""
               : index_takes(ops, INDEX_B64, INDEX_CODE_BITS_MAX, s->metric) ? ", 64 to 1024 bits"
                                                                             : ", 64 bits");
    putchar('\n');
}

static void describe_method(const struct index_ops *ops)
{
    printf("%s - %s\nsource:  %s\n", ops->name, ops->summary, ops->source);
    describe_capabilities(ops);
    describe_table(ops->set_params ? "params (fixed when built, except live ones: w:set)"
                                   : "params (fixed when built)",
                   ops->params);
    describe_table("knobs (may change per search)", ops->knobs);
}

/* The name is neither a method nor a dataset: one error suggests the nearest name of both kinds. */
static void describe_nothing(const struct app *app, const struct catalog *catalog, const char *name,
                             struct error *error)
{
    const char *all[256];
    size_t n = 0, n_datasets;
    const char *const *datasets = catalog_names(catalog, &n_datasets);
    for (size_t i = 0; i < app->registry.n && n < 256; i++)
        all[n++] = app->registry.ops[i]->name;
    for (size_t i = 0; i < n_datasets && n < 256; i++)
        all[n++] = datasets[i];
    fail(error, ERR_CONFIG, "there is no method or dataset \"%s\"%s  (./harness list)", name,
         error_hint(name, all, n).text);
}

int command_describe(struct app *app, struct error *error)
{
    const char *name = app->arguments[0];
    const struct index_ops *ops = registry_find(&app->registry, name, error);
    if (ops) {
        describe_method(ops);
        return EXIT_OK;
    }
    struct catalog *catalog;
    error_clear(error);
    if (catalog_open(&catalog, &app->options, error))
        return EXIT_USAGE;
    struct catalog_entry *entry = catalog_find(catalog, name);
    if (entry)
        catalog_describe(entry, stdout);
    else
        describe_nothing(app, catalog, name, error);
    catalog_close(catalog);
    return entry ? EXIT_OK : EXIT_USAGE;
}

int command_version(struct app *app, struct error *unused)
{
    (void)unused;
    const struct build_stamp *stamp = &build_stamp;
    printf("Driftline %s\ncommit %.12s%s, method ABI %d\n"
           "built by %s, %s, %s\nkernels %s\n",
           stamp->version, *stamp->git_commit ? stamp->git_commit : "unknown",
           stamp->git_dirty ? " (changed)" : "", INDEX_ABI, BUILD_COMPILER,
           BUILD_PORTABLE ? "portable" : "for this processor", BUILD_CFLAGS, app->kernels->name);
    /* A header-only baseline is compiled with the program's flags: its `simd` is empty. */
#define BASELINE(name, version, compiler, flags, simd) \
    printf("baseline %s %s%s%s\n", name, version, *(simd) ? ": " : "", simd);
    BUILD_BASELINES(BASELINE)
#undef BASELINE
    return EXIT_OK;
}

int command_bench(struct app *app, struct error *error)
{
    const char *what = app->arguments[0];
    if (!strcmp(what, "kernels"))
        return bench_kernels(stdout) ? EXIT_SOME_FAILED : EXIT_OK;
    if (!strcmp(what, "cuda"))
        return bench_cuda(stdout, error) ? EXIT_SOME_FAILED : EXIT_OK;
    fail(error, ERR_CONFIG, "bench: expected kernels or cuda, not \"%s\"", what);
    return EXIT_USAGE;
}
