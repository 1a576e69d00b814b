/* cmd_run.c - `./harness run`, alone or by several processes under mpirun. */
#include <limits.h>

#include "src/cli/commands.h"
#include "src/cli/configs.h"
#include "src/cli/run/run.h"
#include "src/cluster/messenger.h"

int command_run(struct app *app, struct error *error)
{
    struct messenger *messenger = NULL;
    int worst = EXIT_OK;
    if (app->options.mpi && messenger_open(&messenger, error))
        return EXIT_USAGE;
    for (size_t i = 0; i < app->n_arguments && !*app->interrupted; i++) {
        char path[PATH_MAX];
        int status = EXIT_USAGE;
        struct error not_found = { 0 };
        if (configs_find(app, app->arguments[i], path, sizeof path, &not_found))
            app_error(app, &not_found);
        else
            status = run_measure(app, path, NULL, messenger);
        if (status > worst)
            worst = status;
    }
    messenger_close(messenger);
    return worst;
}
