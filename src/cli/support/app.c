/* app.c - shared by the commands: errors and warnings on the terminal, paths, drawing a result. */
#include "src/cli/support/app.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/figure/plot.h"
#include "src/result/result.h"

void app_print(const struct app *app, FILE *out, const char *text)
{
    static const char name[] = "./harness";
    char *copy = app_copy(text), *from = copy, *at;
    for (; (at = strstr(from, name)); from = at + sizeof name - 1) {
        *at = '\0';
        quote_terminal(out, from);
        fputs(app->options.command, out);
    }
    quote_terminal(out, from);
    free(copy);
}

/* A line on stderr, in one write: processes that fetch side by side share it. */
static void print_line(const struct app *app, const char *colour, const char *kind,
                       const char *text)
{
    const bool coloured = kind && app->options.colour;
    char *line = NULL;
    size_t bytes = 0;
    FILE *whole = open_memstream(&line, &bytes), *out = whole ? whole : stderr;
    if (kind)
        (void)fprintf(out, "%s%s:%s ", coloured ? colour : "", kind, coloured ? "\033[0m" : "");
    if (kind)
        app_print(app, out, text);
    else
        quote_terminal(out, text);
    (void)fputc('\n', out);
    if (whole && fclose(whole) == 0)
        (void)fwrite(line, 1, bytes, stderr);
    free(line);
}

void app_error(const struct app *app, const struct error *error)
{
    print_line(app, "\033[31m", "error", error->text);
}

void app_warn(const struct app *app, const char *format, ...)
{
    char text[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_line(app, "\033[33m", "warning", text);
}

int app_result_load(const char *dir, struct result *result, struct error *error)
{
    char *path = app_path(dir, "result.json");
    const int rc = result_load(path, result, error);
    free(path);
    return rc;
}

void app_warn_unfinished(const struct app *app, const char *name, const json_t *result)
{
    const json_t *run = json_object_get(result, "run");
    const long long cells = field_integer(run, "cells", 0),
                    planned = field_integer(run, "planned", 0);
    if (cells < planned)
        app_warn(
            app,
            "%s: the run has not finished: %lld of %lld cells have run; ./harness run --resume "
            "and its config run the rest",
            name, cells, planned);
}

int app_say(void *app_of, const char *line)
{
    const struct app *app = app_of;
    if (!app->options.quiet)
        print_line(app, NULL, NULL, line);
    return *app->interrupted;
}

void *app_made(void *made)
{
    static const char text[] = "error: out of memory\n";
    if (!made) {
        const ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
        (void)n;
        /* Not exit(): a cell's forked process must not run its parent's atexit() handlers. */
        _exit(EXIT_USAGE);
    }
    return made;
}

void *app_allocate(size_t bytes)
{
    return app_made(malloc(bytes ? bytes : 1));
}

int app_find_data(const char *given, char data[PATH_MAX], struct error *error)
{
    if (access(given, F_OK) != 0 && !strpbrk(given, "/."))
        (void)snprintf(data, PATH_MAX, "%s", given);
    else if (!realpath(given, data))
        return fail_errno(error, ERR_IO, "%s", given), EXIT_USAGE;
    return EXIT_OK;
}

char *app_path(const char *first, const char *second)
{
    const size_t bytes = strlen(first) + strlen(second) + 2;
    char *path = app_allocate(bytes);
    snprintf(path, bytes, "%s/%s", first, second);
    return path;
}

char *app_copy(const char *text)
{
    return app_made(strdup(text));
}

void app_warn_letters(const struct app *app, const json_t *letters)
{
    char missing[200] = "";
    const char *letter;
    json_t *has;

    json_object_foreach((json_t *)letters, letter, has)
        if (!json_is_true(has) && strlen(missing) + strlen(letter) < sizeof missing)
            strcat(missing, letter);
    if (*missing)
        app_warn(app,
                 "figures: no font here has the letters %s; PNG and PDF show boxes in their place, "
                 "SVG and report.html the letters. Fonts: apt-get install fonts-noto-cjk "
                 "fonts-noto-color-emoji, then ./harness plot",
                 missing);
}

int app_draw(const char *dir, const struct app *app, struct error *error)
{
    size_t i;
    json_t *bare, *letters, *name;
    const int rc = plot_result(dir, app->options.root, app->figure_style, app->interrupted, &bare,
                               &letters, error);

    json_array_foreach(bare, i, name)
        app_warn(app, "figure %s: no values to draw", json_string_value(name));
    app_warn_letters(app, letters);
    json_decref(bare);
    json_decref(letters);
    return rc;
}
