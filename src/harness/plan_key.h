/* plan_key.h - under which key a cell is stored: everything that decides what it measures.
 *
 * A key has two halves. The parts say what is measured: config, data, workload, settings, method. The
 * identity says what it is measured with: program, plugin, libraries, kernels, tunables (identity.h).
 */
#ifndef DRIFTLINE_PLAN_KEY_H
#define DRIFTLINE_PLAN_KEY_H

#include "harness/identity.h"
#include "harness/plan.h"

/* Fills each cell's parts and, without an identity, its key. ERR_NO_MEMORY. */
int plan_key_parts(struct plan *, const struct experiment *, struct error *);
/* Gives each cell its identity, the experiment's threads and memory limit among the tunables, and its
   final key. ERR_NO_MEMORY. */
int plan_identify(struct plan *, const struct experiment *, const struct identity *,
                  struct error *);

/* sha256 of all fields of an operation. */
void op_digest(const struct op *, char hex[65]);

/* What differs between a stored cell's file and this cell, in one line: "program rebuilt, kernels
   avx512 -> scalar". "" where nothing does. */
void plan_key_difference(const struct cell *, const json_t *stored, char *text, size_t bytes);

#endif
