/* cmd_info.c - `list`, `describe`, `version`, `bench`: what there is and how it was built. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "harness/app.h"
#include "harness/bench_kernels.h"
#include "harness/lua_catalog.h"
#include "harness/table.h"
#include "kernels/kernels.h"

#include "build_info.h"

static void list_methods(const struct app *app)
{
    struct table table;
    table_init(&table, 3);
    table_add(&table, "method");
    table_add(&table, "source");
    table_add(&table, "summary");
    for (size_t i = 0; i < app->registry.n; i++) {
        const struct index_ops *ops = app->registry.ops[i];
        table_add(&table, "%s", ops->name);
        table_add(&table, "%s", ops->source);
        table_add(&table, "%s", ops->summary);
    }
    table_print(&table, stdout);
    table_free(&table);
#define MISSING(name, why) printf("not in this build: %s: %s\n", name, why);
    BUILD_MISSING(MISSING)
#undef MISSING
}

static int list_datasets(const struct app *app)
{
    struct catalog *catalog;
    struct error error = { 0 };
    if (catalog_open(&catalog, &app->options, &error)) {
        app_error(app, &error);
        return EXIT_USAGE;
    }
    size_t n;
    const char *const *names = catalog_names(catalog, &n);
    struct table table;
    table_init(&table, 3);
    table_add(&table, "dataset");
    table_add(&table, "metric");
    table_add(&table, "about");
    for (size_t i = 0; i < n; i++) {
        struct catalog_entry *entry = catalog_find(catalog, names[i]);
        table_add(&table, "%s", names[i]);
        table_add(&table, "%s", metric_name(catalog_metric(entry)));
        table_add(&table, "%s", catalog_summary(entry));
    }
    table_print(&table, stdout);
    table_free(&table);
    catalog_close(catalog);
    return EXIT_OK;
}

static int lua_files(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && !strcmp(entry->d_name + length - 4, ".lua");
}

/* The first title = "..." of a config, read as text: listing runs none of them. */
static void config_title(const char *dir, const char *file, char *title, size_t bytes)
{
    char path[4096], line[600];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *in = fopen(path, "r");
    *title = '\0';
    while (in && !*title && fgets(line, sizeof line, in)) {
        const char *from = strstr(line, "title = \"");
        from = from ? from + strlen("title = \"") : "";
        snprintf(title, bytes, "%.*s", (int)strcspn(from, "\"\n"), from);
    }
    if (in)
        fclose(in);
}

static void list_configs_in(const char *root, const char *folder, struct table *table)
{
    char *dir = app_path(root, folder);
    struct dirent **entries;
    int n = scandir(dir, &entries, lua_files, alphasort);
    for (int i = 0; i < n; i++) {
        char title[200];
        config_title(dir, entries[i]->d_name, title, sizeof title);
        table_add(table, "%s/%s", folder, entries[i]->d_name);
        table_add(table, "%s", title);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    free(dir);
}

static void list_configs(const struct app *app)
{
    struct table table;
    table_init(&table, 2);
    table_add(&table, "config");
    table_add(&table, "title");
    list_configs_in(app->options.root, "configs", &table);
    list_configs_in(app->options.root, "configs/examples", &table);
    table_print(&table, stdout);
    table_free(&table);
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

int command_list(struct app *app)
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
            case 1: status = list_datasets(app); break;
            case 2: list_configs(app); break;
            default: list_kernels(app);
        }
    }
    if (known)
        return status;
    const char *near = error_near(what, kinds, 4);
    struct error error = { 0 };
    fail(&error, ERR_CONFIG,
         "list: expected methods, datasets, configs or kernels, not \"%s\"%s%s%s", what,
         near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    app_error(app, &error);
    return EXIT_USAGE;
}

static void describe_table(const char *title, const struct param *table)
{
    if (!param_count(table))
        return;
    printf("\n%s\n", title);
    for (const struct param *p = table; p->name; p++) {
        char line[400];
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
        { "save", ops->save },
        { "reload", ops->load },
        { "stats", ops->stats },
        { "memory", ops->memory },
        { "check", ops->check },
        { "clusters", ops->clusters },
        { "transactions", ops->txn },
        { "exact", ops->flags & INDEX_EXACT },
        { "concurrent search", ops->flags & INDEX_CONCURRENT_SEARCH },
        { "concurrent update", ops->flags & INDEX_CONCURRENT_UPDATE },
    };
    printf("can:    ");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].has)
            printf(" %s%s", all[i].name, i + 1 < sizeof all / sizeof *all ? "," : "");
    printf("\nspaces: ");
    for (const struct index_space *s = ops->spaces; (int)s->element >= 0; s++)
        printf(" %s %s;", element_name(s->element), metric_name(s->metric));
    putchar('\n');
}

static void describe_method(const struct index_ops *ops)
{
    printf("%s - %s\nsource:  %s\n", ops->name, ops->summary, ops->source);
    describe_capabilities(ops);
    describe_table("params (fixed when built)", ops->params);
    describe_table("knobs (may change per search)", ops->knobs);
}

/* Neither a method nor a dataset: one error with the nearest of both. */
static void describe_nothing(const struct app *app, const struct catalog *catalog, const char *name)
{
    const char *all[256];
    size_t n = 0, n_datasets;
    const char *const *datasets = catalog_names(catalog, &n_datasets);
    for (size_t i = 0; i < app->registry.n && n < 256; i++)
        all[n++] = app->registry.ops[i]->name;
    for (size_t i = 0; i < n_datasets && n < 256; i++)
        all[n++] = datasets[i];
    const char *near = error_near(name, all, n);
    struct error error = { 0 };
    fail(&error, ERR_CONFIG, "there is no method and no dataset \"%s\"%s%s%s  (./harness list)",
         name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    app_error(app, &error);
}

int command_describe(struct app *app)
{
    const char *name = app->arguments[0];
    struct error error = { 0 };
    const struct index_ops *ops = registry_find(&app->registry, name, &error);
    if (ops) {
        describe_method(ops);
        return EXIT_OK;
    }
    struct catalog *catalog;
    error_clear(&error);
    if (catalog_open(&catalog, &app->options, &error)) {
        app_error(app, &error);
        return EXIT_USAGE;
    }
    struct catalog_entry *entry = catalog_find(catalog, name);
    if (entry)
        catalog_describe(entry, stdout);
    else
        describe_nothing(app, catalog, name);
    catalog_close(catalog);
    return entry ? EXIT_OK : EXIT_USAGE;
}

int command_version(struct app *app)
{
    printf("Driftline %.12s%s\nbuilt by %s, %s, %s\nkernels %s\n", BUILD_GIT_COMMIT,
           BUILD_GIT_DIRTY ? " (changed)" : "", BUILD_COMPILER,
           BUILD_PORTABLE ? "portable" : "for this processor", BUILD_CFLAGS, app->kernels->name);
#define PEER(name, version, compiler, peer_flags, simd) \
    printf("peer %s %s: %s\n", name, version, *(simd) ? simd : "-");
    BUILD_PEERS(PEER)
#undef PEER
    return EXIT_OK;
}

int command_bench(struct app *app)
{
    if (!strcmp(app->arguments[0], "kernels"))
        return bench_kernels(stdout) ? EXIT_SOME_FAILED : EXIT_OK;
    struct error error = { 0 };
    fail(&error, ERR_CONFIG, "bench: expected kernels, not \"%s\"", app->arguments[0]);
    app_error(app, &error);
    return EXIT_USAGE;
}
