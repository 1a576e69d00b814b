/* columns.h - the attributes of a cluster's rows: records in memory, columns in files, and a summary
 * of each column, by which searches skip files and estimate how many rows pass. */
#ifndef DRIFTLINE_CHANNI_FILES_COLUMNS_H
#define DRIFTLINE_CHANNI_FILES_COLUMNS_H

#include "src/core/index.h"

/* A row's numbers: field f's is numbers[f * stride]. NULL: none in any field. */
struct channi_record {
    const int64_t *numbers;
    size_t stride;
};

static inline int64_t channi_record_at(struct channi_record r, size_t field)
{
    return r.numbers ? r.numbers[field * r.stride] : INDEX_ATTRIBUTE_NONE;
}

enum { SUMMARY_STEPS = 16, SUMMARY_WORDS = 4 };

/* Of one column of a file; also its form in the file's head. */
struct channi_summary {
    uint64_t present; /* rows that have a number; 0: all else is 0 */
    /* Quantiles: in ascending order, number i (present - 1) / SUMMARY_STEPS. So the first is the
       least number, the last the greatest. */
    int64_t steps[SUMMARY_STEPS + 1];
    uint64_t bits[SUMMARY_WORDS]; /* Bloom filter with one hash: a bit for each number */
};

/* scratch: n numbers, overwritten. */
void channi_summary_make(struct channi_summary *, const int64_t *column, size_t n,
                         int64_t *scratch);
/* Whether count, bounds and filter are the column's. */
bool channi_summary_fits(const struct channi_summary *, const int64_t *column, size_t n);
/* Whether one of the n rows may meet the condition. */
bool channi_summary_may(const struct channi_summary *, size_t n, const struct attribute_condition *,
                        const int64_t *values);
/* The share of the n rows that meet the condition, estimated. */
double channi_summary_share(const struct channi_summary *, size_t n,
                            const struct attribute_condition *, const int64_t *values);

#endif
