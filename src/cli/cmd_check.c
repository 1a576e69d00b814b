/* cmd_check.c - `check`: reads a config and prints its plan. */
#include <limits.h>

#include "src/base/quote.h"
#include "src/cli/app.h"
#include "src/cli/commands.h"
#include "src/cli/configs.h"
#include "src/config/experiment.h"
#include "src/plan/plan.h"

static int check_config(struct app *app, const char *given)
{
    char path[PATH_MAX];
    struct run_options *o = &app->options;
    struct experiment *experiment = NULL;
    struct plan plan = { 0 };
    struct quoted_output text;
    struct error error = { 0 };
    int status = EXIT_OK;
    o->say = app_say;
    o->say_to = app;
    if (configs_find(app, given, path, sizeof path, &error) ||
        experiment_load(&experiment, path, o, &app->registry, &error) ||
        plan_make(&plan, experiment, o, &error)) {
        app_error(app, &error);
        status = error.code == ERR_INTERRUPTED ? EXIT_SOME_FAILED : EXIT_USAGE;
    } else {
        quote_terminal_begin(&text);
        if (text.out)
            plan_print(&plan, experiment, text.out);
        quote_terminal_print(&text);
    }
    plan_free(&plan);
    experiment_free(experiment);
    return status;
}

int command_check(struct app *app)
{
    int worst = EXIT_OK;
    for (size_t i = 0; i < app->n_arguments && !*app->interrupted; i++) {
        const int status = check_config(app, app->arguments[i]);
        if (status != EXIT_OK)
            worst = status;
    }
    return worst;
}
