/* configs.c - see configs.h. */
#include "src/cli/configs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/path.h"
#include "src/base/table.h"
#include "src/cli/support/app.h"

static int lua_files(const struct dirent *entry)
{
    return path_ends(entry->d_name, ".lua");
}

/* configs/lib has Lua modules, not configs. */
static int config_folders(const struct dirent *entry)
{
    return entry->d_type == DT_DIR && entry->d_name[0] != '.' && strcmp(entry->d_name, "lib") != 0;
}

static void free_entries(struct dirent **entries, int n)
{
    for (int i = 0; i < n; i++)
        free(entries[i]);
    if (n >= 0)
        free(entries);
}

/* Calls visit for each config of a folder, "" or one below ROOT/configs, until it returns true. */
static bool visit_folder(const struct app *app, const char *folder,
                         bool (*visit)(void *context, const char *folder, const char *file),
                         void *context)
{
    char dir[4096];
    (void)snprintf(dir, sizeof dir, "%s/configs/%s", app->options.root, folder);
    struct dirent **entries;
    const int n = scandir(dir, &entries, lua_files, alphasort);
    bool done = false;
    for (int i = 0; i < n && !done; i++)
        done = visit(context, folder, entries[i]->d_name);
    free_entries(entries, n);
    return done;
}

static void visit_all(const struct app *app,
                      bool (*visit)(void *context, const char *folder, const char *file),
                      void *context)
{
    bool done = visit_folder(app, "", visit, context);
    char *dir = app_path(app->options.root, "configs");
    struct dirent **entries;
    const int n = scandir(dir, &entries, config_folders, alphasort);
    for (int i = 0; i < n && !done; i++)
        done = visit_folder(app, entries[i]->d_name, visit, context);
    free_entries(entries, n);
    free(dir);
}

/* Finds the first title = "..." of a config in its text: running the config could take long. */
static void config_title(const char *path, char *title, size_t bytes)
{
    char line[600];
    FILE *in = fopen(path, "r");
    *title = '\0';
    while (in && !*title && fgets(line, sizeof line, in)) {
        const char *from = strstr(line, "title = \"");
        from = from ? from + strlen("title = \"") : "";
        (void)snprintf(title, bytes, "%.*s", (int)strcspn(from, "\"\n"), from);
    }
    if (in)
        fclose(in);
}

struct listing {
    struct table table;
    const char *root;
};

static bool list_one(void *context, const char *folder, const char *file)
{
    struct listing *listing = context;
    char title[200], path[4096];
    (void)snprintf(path, sizeof path, "%s/configs/%s/%s", listing->root, folder, file);
    config_title(path, title, sizeof title);
    table_add(&listing->table, "configs/%s%s%s", folder, *folder ? "/" : "", file);
    table_add(&listing->table, "%s", title);
    return false;
}

void configs_list(const struct app *app)
{
    struct listing listing = { .root = app->options.root };
    table_begin(&listing.table, "config|title");
    visit_all(app, list_one, &listing);
    table_end(&listing.table, stdout);
}

enum { CONFIGS_MAX = 256 };

struct search_by_name {
    char wanted[256];
    char found[640];          /* below ROOT; "" none */
    char *names[CONFIGS_MAX]; /* FOLDER/STEM of the configs visited, for the error's hint */
    size_t n;
};

/* Configs once lay in one folder and had longer names: asteria/static was asteria_static,
   hftrie/ablation was ablation_hftrie, targets/hnsw was bars_hnsw. All old names have an
   underscore, so "drift.lua" is an error and does not find asteria/drift. */
static bool has_name(void *context, const char *folder, const char *file)
{
    struct search_by_name *search = context;
    char stem[256], names[4][600], path[600];
    (void)snprintf(stem, sizeof stem, "%.*s", (int)strlen(file) - 4, file);
    (void)snprintf(names[0], sizeof names[0], "%s", stem);
    (void)snprintf(names[1], sizeof names[1], "%s_%s", folder, stem);
    (void)snprintf(names[2], sizeof names[2], "%s_%s", stem, folder);
    (void)snprintf(names[3], sizeof names[3], "bars_%s", stem);
    (void)snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", stem);
    for (int i = 0; i < (strcmp(folder, "targets") ? 3 : 4); i++)
        if (strchr(names[i], '_') && !strcmp(names[i], search->wanted)) {
            (void)snprintf(search->found, sizeof search->found, "configs/%s.lua", path);
            return true;
        }
    if (search->n < CONFIGS_MAX)
        search->names[search->n++] = app_copy(path);
    return false;
}

/* "configs/drift.lua", "drift.lua" and "drift" give the same name. */
static void take_name(const char *path, bool with_folder, char *name, size_t bytes)
{
    const char *slash = strrchr(path, '/');
    const char *from = slash && !with_folder ? slash + 1 : path;
    if (!strncmp(from, "configs/", 8))
        from += 8;
    (void)snprintf(name, bytes, "%.*s", (int)(strlen(from) - (path_ends(from, ".lua") ? 4 : 0)),
                   from);
}

int configs_find(const struct app *app, const char *given, char *path, size_t bytes,
                 struct error *error)
{
    struct search_by_name search = { .found = "" };
    int rc = OK;
    (void)snprintf(path, bytes, "%s", given);
    if (!access(given, F_OK))
        return OK;
    (void)snprintf(path, bytes, "%s/%s", app->options.root, given);
    if (!access(path, F_OK))
        return OK;
    take_name(given, false, search.wanted, sizeof search.wanted);
    if (!strcmp(search.wanted, "tune_peers"))
        strcpy(search.wanted, "tune_baselines");
    visit_all(app, has_name, &search);
    if (*search.found) {
        app_warn(app, "%s: using %s, which has this name", given, search.found);
        (void)snprintf(path, bytes, "%s/%s", app->options.root, search.found);
    } else {
        take_name(given, true, search.wanted, sizeof search.wanted);
        rc = fail(error, ERR_NOT_FOUND,
                  "%s: no such file, nor a config of that name%s  (./harness list configs)", given,
                  error_hint(search.wanted, (const char *const *)search.names, search.n).text);
    }
    for (size_t i = 0; i < search.n; i++)
        free(search.names[i]);
    return rc;
}
