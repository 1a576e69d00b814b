/* folder_claim.h - one index to a folder, and what is in a folder that an index is to be loaded from. */
#ifndef DRIFTLINE_FOLDER_CLAIM_H
#define DRIFTLINE_FOLDER_CLAIM_H

#include <stdbool.h>

#include "src/core/error.h"

/* An exclusive claim on a folder, held until *fd is closed or the process ends. ERR_IO naming the folder
   and who holds it. */
int folder_claim(const char *dir, int *fd, struct error *);
/* Whether both are there and one, by whatever names; NULL is no folder. */
bool folder_same(const char *a, const char *b);
/* Whether a file is there. */
bool folder_has(const char *dir, const char *name);
/* Says, before the sentence of a load that found nothing saved in the folder, that an index ran there. Returns the
   load's code. */
int folder_only_ran(struct error *, const char *dir);

#endif
