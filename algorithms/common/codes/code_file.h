/* code_file.h - save and load for methods over codes, whose file holds only their parameters and
 * rows: lookup structures are rebuilt on load.
 *
 * The file is NAME.index, where NAME is the method's. The parameters are those that create() stored
 * in the index. */
#ifndef DRIFTLINE_COMMON_CODES_CODE_FILE_H
#define DRIFTLINE_COMMON_CODES_CODE_FILE_H

#include "algorithms/common/codes/code_store.h"
#include "src/core/index.h"

struct code_file {
    const struct index_ops *method;
    const void *(*params)(const struct index *); /* NULL: the method has no parameters */
    bool params_are_new; /* files written before the method had any are read, with the defaults */
    struct code_store *(*store)(struct index *);
    int (*fill)(struct index *); /* called when the store has its rows, to rebuild the rest; may
                                    be NULL */
};

int code_file_save(const struct code_file *, struct index *, const char *dir);
/* ERR_CORRUPT also for parameters that param_set() would refuse. */
int code_file_load(const struct code_file *, struct index **, const struct index_env *,
                   const char *dir);

#endif
