/* folder_claim.h - locks a folder for one index, and examines folders. */
#ifndef DRIFTLINE_COMMON_DURABLE_FOLDER_CLAIM_H
#define DRIFTLINE_COMMON_DURABLE_FOLDER_CLAIM_H

#include <stdbool.h>

#include "src/core/error.h"

/* Takes an exclusive lock on a folder, held until *fd is closed or the process ends. ERR_IO naming
   the folder and the process that holds the lock. */
int folder_claim(const char *dir, int *fd, struct error *);
/* Whether both exist and are the same folder. NULL: no folder. */
bool folder_same(const char *a, const char *b);
/* Whether the file exists. */
bool folder_has(const char *dir, const char *name);
/* For a load that found no saved index in a folder where an index ran: puts a sentence that says so
   before the error's message. Returns the error's code. */
int folder_only_ran(struct error *, const char *dir);

#endif
