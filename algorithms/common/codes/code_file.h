/* code_file.h - the sections of a file of methods over codes, which holds only their parameters and
 * rows: lookup structures are rebuilt on load.
 *
 * The parameters are those that create() stored in the index, without those of the log. */
#ifndef DRIFTLINE_COMMON_CODES_CODE_FILE_H
#define DRIFTLINE_COMMON_CODES_CODE_FILE_H

#include "algorithms/common/codes/code_store.h"
#include "algorithms/common/durable/logged.h"
#include "src/core/index.h"

struct code_method {
    struct logged_method logged; /* with the functions below */
    const void *(*params)(const struct index *);
    bool params_are_new; /* files written before the method had any are read, with the defaults */
    struct code_store *(*store)(struct index *);
    int (*fill)(struct index *); /* called when the store has its rows, to rebuild the rest; may
                                    be NULL */
};

bool code_file_has(const struct index *, uint64_t id);
int code_file_write(struct index *, struct store_writer *);
/* ERR_CORRUPT also for parameters that param_set() would refuse. */
int code_file_read(struct index **, const struct logged_method *, const struct index_env *,
                   struct store_reader *);

#endif
