/* code_scan.h - the exact scan of a code_store: what other methods must beat, and fall back to.
 *
 * One query reads all codes once; a group reads each tile of codes once, while it is in the first
 * cache, for all its queries.
 */
#ifndef DRIFTLINE_CODE_SCAN_H
#define DRIFTLINE_CODE_SCAN_H

#include "algorithms/common/code_queries.h"
#include "algorithms/common/code_store.h"

struct kernels;

/* As struct code_ops has them. */
int code_scan_range(const struct code_store *, const struct kernels *, struct code_group *,
                    unsigned radius, struct code_answers *answers);
int code_scan_nearest(const struct code_store *, const struct kernels *, struct code_group *,
                      struct topk *nearest);

#endif
