/* index_rows.h - rows for a saved index: queries, or rows to insert. */
#ifndef DRIFTLINE_CLI_SUPPORT_INDEX_ROWS_H
#define DRIFTLINE_CLI_SUPPORT_INDEX_ROWS_H

#include "src/cli/support/app.h"
#include "src/data/source/source.h"

struct index_rows {
    struct source *source;
    void *rows; /* of the index's element; of unit length if they are floats under cosine */
};

/* Opens and reads the rows that `given` names, as catalog_rows_open() does. what: "queries", for
   messages. ERR_DIMENSION: not of the index's dimension or element; ERR_ZERO_VECTOR under cosine.
   The caller calls app_index_rows_close() in any case. */
int app_index_rows_read(struct index_rows *, struct app *, const struct index_env *,
                        const char *given, const char *what, struct error *);
void app_index_rows_close(struct index_rows *);

#endif
