/* gnuplot.c - see gnuplot.h. */
#include "src/figure/gnuplot.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/atomic_file.h"
#include "src/base/process.h"

enum { LIMIT_S = 120 };

static int is_interrupted(void *context)
{
    const volatile int *interrupted = context;

    return interrupted && *interrupted;
}

/* Writes gnuplot's output to dir/FILE.log. */
static void keep_log(const char *dir, const char *file, const struct process *p)
{
    char log[PATH_MAX];
    struct error unwritten = { 0 };

    if (snprintf(log, sizeof log, "%s/%s.log", dir, file) < (int)sizeof log)
        (void)atomic_file_write(log, p->output, strlen(p->output), &unwritten);
}

int gnuplot_run(const char *dir, const char *file, const volatile int *interrupted,
                struct error *error)
{
    /* Environment variables that change gnuplot; all that begin with GNUPLOT. */
    static const char *const unset[] = { "GNUTERM=", "GNUPLOT", NULL };
    char script[NAME_MAX + 1];
    const char *const argv[] = { "gnuplot", "--default-settings", script, NULL };
    struct process p = { .argv = argv,
                         .directory = dir,
                         .unset = unset,
                         .bound = true,
                         .limit_s = LIMIT_S,
                         .tick = is_interrupted,
                         .context = (void *)interrupted };

    (void)snprintf(script, sizeof script, "%s.gp", file);
    struct error why = { 0 };
    const int rc = process_run(&p, &why);
    if (rc == ERR_NOT_FOUND)
        return fail(error, rc,
                    "gnuplot is not in PATH; install it with `make deps`, or use --no-plots");
    if (rc == ERR_INTERRUPTED)
        return fail(error, rc, "interrupted while %s/%s.gp was drawn", dir, file);
    if (rc == OK && p.status == 0)
        return OK;
    keep_log(dir, file, &p);
    if (rc)
        return fail(error, rc, "%s/%s.gp cannot be drawn: %s", dir, file, why.text);
    return fail(error, ERR_IO, "gnuplot failed on %s/%s.gp; its output is in %s/%s.log", dir, file,
                dir, file);
}

static bool has_font(const char *letter, unsigned code, json_t *letters)
{
    const json_t *known = json_object_get(letters, letter);
    char charset[32];
    const char *const argv[] = { "fc-list", "-q", charset, NULL };
    struct process p = { .argv = argv, .bound = true, .limit_s = 10 };
    struct error unasked = { 0 };

    if (known || !letters)
        return !letters || json_is_true(known);
    (void)snprintf(charset, sizeof charset, ":charset=%x", code);
    /* Without fontconfig's program: whether the font that `make deps` installs has the script. */
    const bool has = process_run(&p, &unasked) == OK ? p.status == 0 : code < 0x2E80;
    (void)json_object_set_new(letters, letter, json_boolean(has));
    return has;
}

/* The bytes of the letter at text, which is UTF-8, and its code. */
static size_t letter_at(const char *text, unsigned *code)
{
    const unsigned char first = (unsigned char)*text;
    const size_t bytes = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    size_t n = 1;

    *code = bytes == 1 ? first : first & (0x7FU >> bytes);
    for (; n < bytes && ((unsigned char)text[n] & 0xC0) == 0x80; n++)
        *code = *code << 6 | ((unsigned char)text[n] & 0x3F);
    return n;
}

char *gnuplot_drawable(const char *text, json_t *letters)
{
    static const char box[] = "\xE2\x96\xA1"; /* U+25A1 */
    char *drawable = malloc(3 * strlen(text) + 1), *end = drawable;
    char letter[5];
    unsigned code;

    for (size_t n; drawable && *text; text += n) {
        n = letter_at(text, &code);
        (void)snprintf(letter, sizeof letter, "%.*s", (int)n, text);
        const char *as = code < 0x80 || has_font(letter, code, letters) ? letter : box;
        memcpy(end, as, strlen(as));
        end += strlen(as);
    }
    if (drawable)
        *end = '\0';
    return drawable;
}
