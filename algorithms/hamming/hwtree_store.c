/* hwtree_store.c - save and load. Codes are filed anew: the answers are the same, nodes may have split
 * elsewhere.
 */
#include "algorithms/common/code_file.h"
#include "hwtree.h"

static const void *params_of(const struct index *index)
{
    return &((const struct hwtree *)index)->params;
}

static struct code_store *rows_of(struct index *index)
{
    return &((struct hwtree *)index)->rows;
}

static int fill(struct index *index)
{
    return hwtree_file_all((struct hwtree *)index);
}

static const struct code_file file = { &hwtree_ops, params_of, rows_of, fill };

int hwtree_save(struct index *index, const char *dir)
{
    return code_file_save(&file, index, dir);
}

int hwtree_load(struct index **index, const struct index_env *env, const char *dir)
{
    return code_file_load(&file, index, env, dir);
}
