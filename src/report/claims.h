/* claims.h - a claim's verdict and numbers as text. */
#ifndef DRIFTLINE_REPORT_CLAIMS_H
#define DRIFTLINE_REPORT_CLAIMS_H

#include <jansson.h>
#include <stdbool.h>

#include "src/result/read.h"

/* The values that the claim read, in that order, one line per label: "FAISS IVF[nprobe=4]:
 * recall@10/drift#1 = 0.9455, #2 = 0.9585, scanned/drift = 1.30k". A long series is shortened to
 * its range and length. Then a warning for each time or rate of two labels whose intervals over the
 * repeats overlap, if the claim is measured. Returns a new array of strings. */
json_t *claim_lines(const struct result *, const json_t *claim);

/* Whether the claim is from a publication; else the config's author made it. */
bool claim_is_published(const json_t *claim);
/* "not measured"; else, for a published claim, "reproduced" or "not reproduced", and for the
   config's own, "holds" or "does not hold". */
const char *claim_verdict(const json_t *claim);
/* Why the claim is not measured; "" if it is. */
const char *claim_why(const json_t *claim);
/* The claim's text without a leading "(ours)". */
const char *claim_text(const json_t *claim);

#endif
