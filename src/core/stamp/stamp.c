/* stamp.c - the stamp of tests and fuzz targets, which a commit is not to link again. */
#include "src/core/stamp/stamp.h"

const struct build_stamp build_stamp = { .version = "of a test" };
