/* cmd_run.c - `./harness run`, alone or by several processes under mpirun. */
#include <limits.h>

#include "src/cli/commands.h"
#include "src/cli/configs.h"
#include "src/cli/run/run.h"
#include "src/cluster/messenger.h"

/* Under mpirun, rank 0 does what a single process does, but that it hands cells to all ranks. */
static int run_one(struct app *app, const char *path, struct messenger *messenger)
{
    if (messenger && messenger_rank(messenger) > 0)
        return ranks_serve(app, path, messenger);
    const int status = run_measure(app, path, NULL, messenger);
    if (messenger)
        ranks_stop(messenger);
    return status;
}

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
            status = run_one(app, path, messenger);
        if (status > worst)
            worst = status;
    }
    messenger_close(messenger);
    return worst;
}
