/* libraries.h - checks that the baselines' libraries loaded now are those that were linked. */
#ifndef DRIFTLINE_CLI_SUPPORT_LIBRARIES_H
#define DRIFTLINE_CLI_SUPPORT_LIBRARIES_H

#include "src/core/error.h"

struct linked_library {
    const char *path, *sha256; /* recorded when the program was configured */
};

/* Each loaded library with the file name of one of `n` linked libraries must have the same
   content, in whatever folder it is. ERR_CORRUPT, ERR_IO. */
int libraries_check(const struct linked_library *, size_t n, struct error *);

/* libraries_check() of the libraries linked into this build. */
int libraries_check_linked(struct error *);

#endif
