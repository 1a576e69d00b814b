/* compare.h - the rows of `compare A B`: what two results say of the same metric, and the verdict.
 *
 * A repeat (a cell's process) is the unit of everything that is measured: times, rates, resident
 * memory. Queries of one run share the machine's pace, so that they are no sample of it. Counts
 * that repeat exactly are compared as they are; recall is paired by query.
 */
#ifndef DRIFTLINE_COMPARE_H
#define DRIFTLINE_COMPARE_H

#include <jansson.h>

#include "core/error.h"

enum row_kind {
    ROW_COUNTED,  /* work, bytes of the method's own account, answers: the same in every repeat, or
                     as far as it varies, compared by repeats */
    ROW_PAIRED,   /* recall, by query */
    ROW_RESIDENT, /* resident memory: by repeats, known to 2 MiB */
    ROW_TIMED     /* times and rates: by repeats */
};

enum verdict {
    VERDICT_SAME,   /* no difference shown */
    VERDICT_BETTER, /* B is */
    VERDICT_WORSE,
    VERDICT_FEW_REPEATS /* too few for any verdict */
};

/* How far the pace of a run lies from that of other runs, which no number of repeats within one
   shows: as variances of a run's mean log. DRIFT_SHARE of the variance among the run's own repeats,
   and DRIFT_FLOOR squared. Measured on the busy reference machine (docs/measuring.md). */
#define DRIFT_SHARE 0.5
#define DRIFT_FLOOR 0.01

struct row {
    char label[300], metric[200];
    enum row_kind kind;
    int better;  /* +1: more is, -1: less is */
    size_t n[2]; /* repeats of A and of B */
    double a, b; /* medians over repeats; of a paired row means over queries */
    double low,
        high;      /* 95 % interval of this row alone, of B / A - 1, paired: of B - A; NAN: none */
    double p;      /* adjusted for all rows that have one; NAN: compared exactly, or not at all */
    double change; /* what the verdict is of: B - A, or of logs; its sign counts */
    double error, df; /* standard error of log(B / A), its degrees of freedom; NAN */
    double visible;   /* the smallest |log(B / A)| shown with probability .8, where the step's times
                         change together; NAN: not known */
    enum verdict verdict;
};
struct rows {
    struct row *row;
    size_t n, capacity;
};

/* One of the two results. */
struct side {
    size_t k;
    json_t *result;
    json_t *queries; /* "LABEL\nMETRIC/TAG" -> array of per-query means over repeats */
    json_t *samples; /* as summary_samples() */
};

/* compare_read.c: path is a result.json, or the folder that holds it. To be freed also after an
   error. */
int side_read(struct side *, const char *path, struct error *);
void side_free(struct side *);

/* compare_judge.c: every row that both have, judged. freed with rows_free(). */
void compare_sides(struct rows *, const struct side *a, const struct side *b);
void rows_free(struct rows *);

#endif
