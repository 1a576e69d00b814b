/* code_file.h - save and load of methods over codes whose file is their parameters and their rows:
 * what finds the rows is made again.
 *
 * The file is NAME.index, NAME the method's. Parameters are those create() was given, as it left
 * them in the index.
 */
#ifndef DRIFTLINE_CODE_FILE_H
#define DRIFTLINE_CODE_FILE_H

#include "algorithms/common/code_store.h"
#include "src/core/index.h"

struct code_file {
    const struct index_ops *method;
    const void *(*params)(const struct index *); /* NULL: it has none */
    struct code_store *(*store)(struct index *);
    int (*fill)(struct index *); /* the store has its rows, nothing else knows them; may be NULL */
};

int code_file_save(const struct code_file *, struct index *, const char *dir);
/* ERR_CORRUPT also for parameters that param_set() would have refused. */
int code_file_load(const struct code_file *, struct index **, const struct index_env *,
                   const char *dir);

#endif
