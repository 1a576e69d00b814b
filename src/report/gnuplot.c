/* gnuplot.c - see gnuplot.h. */
#include "src/report/gnuplot.h"

#include <limits.h>
#include <stdio.h>
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
