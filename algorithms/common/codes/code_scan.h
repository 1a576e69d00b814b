/* code_scan.h - the exact scan of dense rows: the baseline of other methods, and their fallback.
 *
 * One query reads all codes once. A group reads each tile of codes from memory once and compares it
 * with all its queries while it is in L1. */
#ifndef DRIFTLINE_COMMON_CODES_CODE_SCAN_H
#define DRIFTLINE_COMMON_CODES_CODE_SCAN_H

#include "algorithms/common/codes/code_queries.h"
#include "algorithms/common/rows/dense_rows.h"

struct kernels;

/* As answer() of struct code_ops. */
int code_scan(const struct dense_rows *, const struct kernels *, struct code_group *);

#endif
