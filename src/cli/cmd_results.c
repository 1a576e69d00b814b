/* cmd_results.c - `plot`, `report`: figures and pages of existing results. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/cli/app.h"
#include "src/cli/commands.h"
#include "src/report/plot.h"
#include "src/report/report.h"
#include "src/result/folder_lock.h"
#include "src/result/result.h"

static int for_each_result(struct app *app,
                           int (*make)(const char *dir, const struct app *, struct error *))
{
    int status = EXIT_OK;
    for (size_t i = 0; i < app->n_arguments && !*app->interrupted; i++) {
        char *dir = app_made(result_dir(app->arguments[i]));
        struct error error = { 0 };
        if (make(dir, app, &error)) {
            app_error(app, &error);
            status = EXIT_USAGE;
        } else {
            printf("%s\n", dir);
        }
        free(dir);
    }
    return status;
}

static int report_one(const char *dir, const struct app *app, struct error *error)
{
    (void)app;
    return report_write(dir, error);
}

/* `plot` rewrites result.json, so it takes the lock that a run holds. `report` only reads the
   file, which is always complete. */
static int plot_one(const char *dir, const struct app *app, struct error *error)
{
    int lock;
    int rc = folder_lock(dir, &lock, error);
    if (rc)
        return rc;
    rc = app_draw(dir, app, error);
    close(lock);
    return rc;
}

int command_plot(struct app *app)
{
    return for_each_result(app, plot_one);
}

int command_report(struct app *app)
{
    return for_each_result(app, report_one);
}
