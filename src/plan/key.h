/* key.h - the key of a stored cell: a hash of everything that affects its measurements.
 *
 * A key has two halves. The parts are the subject of the measurement: data, workload, settings,
 * method. What else a config says (a comment, a claim, another method) changes no key. The identity
 * is its instrument: program, plugin, libraries, kernels, tunables (identity.h). */
#ifndef DRIFTLINE_PLAN_KEY_H
#define DRIFTLINE_PLAN_KEY_H

#include "src/plan/identity.h"
#include "src/plan/plan.h"

/* Sets each cell's key_parts, and a preliminary key without an identity. ERR_NO_MEMORY. */
int plan_key_parts(struct plan *, const struct experiment *, struct error *);
/* Sets each cell's identity and final key. The identity's tunables also include the experiment's
   threads and memory limit. ERR_NO_MEMORY. */
int plan_identify(struct plan *, const struct experiment *, const struct identity *,
                  struct error *);

/* sha256 of all fields of an operation. */
void plan_op_digest(const struct op *, char hex[65]);

/* Describes in one line how a stored cell differs from this one: "program rebuilt, kernels avx512
   -> scalar". "" if the keys are equal. */
void plan_key_difference(const struct cell *, const json_t *stored, char *text, size_t bytes);

#endif
