/* libraries.h - the baselines' libraries that this program runs with, held to what it was linked
 * with. */
#ifndef DRIFTLINE_LIBRARIES_H
#define DRIFTLINE_LIBRARIES_H

#include "core/error.h"

struct linked_library {
    const char *path, *sha256; /* as when the program was configured */
};

/* Each loaded library that has the file name of one of these must have its content, wherever it was
   loaded from. ERR_CORRUPT, ERR_IO. */
int libraries_check(const struct linked_library *, size_t n, struct error *);

/* The same for those of this build. */
int libraries_check_linked(struct error *);

#endif
