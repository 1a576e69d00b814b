/* saved_rows.h - the rows of a saved index, from the config that built it: index.json names the config
 * and the data, not a method's files the rows. */
#ifndef DRIFTLINE_CLI_SUPPORT_SAVED_ROWS_H
#define DRIFTLINE_CLI_SUPPORT_SAVED_ROWS_H

#include "src/cli/support/app.h"
#include "src/config/experiment.h"
#include "src/workload/live_state.h"

struct saved_rows {
    struct experiment *experiment;
    struct live_state now; /* after the whole workload */
    bool begun;
};

/* Loads the config again, with the options that it was built with; nothing is downloaded. about:
   index.json. Not OK: the rows are not known, and the error says why. The caller calls
   app_saved_rows_close() in any case. */
int app_saved_rows_open(struct saved_rows *, const struct app *, const json_t *about,
                        struct error *);
void app_saved_rows_close(struct saved_rows *);

#endif
