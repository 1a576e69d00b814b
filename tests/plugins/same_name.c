/* same_name.c - a plugin whose table is called as one of the program, as in a copy of the skeleton in which only the
 * method's name was changed. The loader would give the plugin the program's table. */
#include "src/core/index.h"

extern const struct index_ops skeleton_ops;
const struct index_ops skeleton_ops = { .abi = INDEX_ABI, .name = "same-name" };

const struct index_ops *driftline_plugin(void)
{
    return &skeleton_ops;
}
