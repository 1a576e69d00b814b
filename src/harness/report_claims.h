/* report_claims.h - the numbers that a claim asked for, as people read them. */
#ifndef DRIFTLINE_REPORT_CLAIMS_H
#define DRIFTLINE_REPORT_CLAIMS_H

#include <jansson.h>
#include <stdbool.h>

/* One line a label: "FAISS IVF[nprobe=4]: recall@10/drift#1 = 0.9455, #2 = 0.9585, scanned/drift =
 * 1.30k"; of a long series its number and range. In the order the claim asked. New array of
 * strings. */
json_t *claim_lines(const json_t *result, const json_t *claim);

/* Whether a publication made it; else it is the config's own. */
bool claim_is_published(const json_t *claim);
/* Of a publication's: "reproduced" or "not reproduced"; of the config's own: "holds" or "does not
   hold"; of both: "not measured". */
const char *claim_verdict(const json_t *claim);
/* Why it is not measured; "" where it is. */
const char *claim_why(const json_t *claim);
/* Its text without the mark of the config's own. */
const char *claim_text(const json_t *claim);

#endif
