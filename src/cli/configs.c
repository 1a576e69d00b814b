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

/* Calls visit for each config of a folder, "" or one below ROOT/configs. */
static void visit_folder(const struct app *app, const char *folder,
                         void (*visit)(void *context, const char *folder, const char *file),
                         void *context)
{
    char dir[4096];
    (void)snprintf(dir, sizeof dir, "%s/configs/%s", app->options.root, folder);
    struct dirent **entries;
    const int n = scandir(dir, &entries, lua_files, alphasort);
    for (int i = 0; i < n; i++)
        visit(context, folder, entries[i]->d_name);
    free_entries(entries, n);
}

static void visit_all(const struct app *app,
                      void (*visit)(void *context, const char *folder, const char *file),
                      void *context)
{
    visit_folder(app, "", visit, context);
    char *dir = app_path(app->options.root, "configs");
    struct dirent **entries;
    const int n = scandir(dir, &entries, config_folders, alphasort);
    for (int i = 0; i < n; i++)
        visit_folder(app, entries[i]->d_name, visit, context);
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

static void list_one(void *context, const char *folder, const char *file)
{
    struct listing *listing = context;
    char title[200], path[4096];
    (void)snprintf(path, sizeof path, "%s/configs/%s/%s", listing->root, folder, file);
    config_title(path, title, sizeof title);
    table_add(&listing->table, "configs/%s%s%s", folder, *folder ? "/" : "", file);
    table_add(&listing->table, "%s", title);
}

void configs_list(const struct app *app)
{
    struct listing listing = { .root = app->options.root };
    table_begin(&listing.table, "config|title");
    visit_all(app, list_one, &listing);
    table_end(&listing.table, stdout);
}

enum { CONFIGS_MAX = 256 };

struct names {
    char *at[CONFIGS_MAX]; /* FOLDER/STEM */
    size_t n;
};

static void add_name(void *context, const char *folder, const char *file)
{
    struct names *names = context;
    char name[600];
    (void)snprintf(name, sizeof name, "%s%s%.*s", folder, *folder ? "/" : "", (int)strlen(file) - 4,
                   file);
    if (names->n < CONFIGS_MAX)
        names->at[names->n++] = app_copy(name);
}

int configs_find(const struct app *app, const char *given, char *path, size_t bytes,
                 struct error *error)
{
    struct names names = { .n = 0 };
    char stem[600];
    (void)snprintf(path, bytes, "%s", given);
    if (!access(given, F_OK))
        return OK;
    (void)snprintf(path, bytes, "%s/%s", app->options.root, given);
    if (!access(path, F_OK))
        return OK;
    const char *name = strncmp(given, "configs/", 8) ? given : given + 8;
    (void)snprintf(stem, sizeof stem, "%.*s",
                   (int)(strlen(name) - (path_ends(name, ".lua") ? 4 : 0)), name);
    visit_all(app, add_name, &names);
    const char *near = error_near(stem, (const char *const *)names.at, names.n);
    (void)fail(error, ERR_NOT_FOUND, "%s: no such file%s%s%s  (./harness list configs)", given,
               near ? "; did you mean configs/" : "", near ? near : "", near ? ".lua?" : "");
    for (size_t i = 0; i < names.n; i++)
        free(names.at[i]);
    return error->code;
}
