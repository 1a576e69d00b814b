/* admit.h - which rows a source may have. For src/data/source only. */
#ifndef DRIFTLINE_DATA_SOURCE_ADMIT_H
#define DRIFTLINE_DATA_SOURCE_ADMIT_H

#include "src/data/source/source.h"

/* Notes rows of zeros in s->zero_rows, and checks rows first .. first + n - 1 of the source, which are at `rows`, aligned to their element.
   ERR_NO_MEMORY; ERR_NOT_FINITE: NaN, an infinity, or a vector whose squared length f32 does not hold, with row and
   column. */
int source_admit(struct source *, size_t first, size_t n, const void *rows, struct error *);

#endif
