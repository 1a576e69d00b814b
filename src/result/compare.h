/* compare.h - the rows of `compare A B`: the same metric in two results, and the verdict.
 *
 * Times, rates and resident memory have one sample per repeat (one process of a cell). The queries
 * of one run share the machine's speed at that time, so they are not independent samples. Counts
 * that are constant over repeats are compared exactly. Recall is paired by query. Steps that all
 * points of a build share make rows of the build.
 */
#ifndef DRIFTLINE_RESULT_COMPARE_H
#define DRIFTLINE_RESULT_COMPARE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/result/read.h"

enum compare_kind {
    ROW_COUNTED,  /* work, answers and bytes that the method reports; compared exactly if constant
                     over repeats, otherwise tested over repeats */
    ROW_PAIRED,   /* recall, precision: of a sample of queries, paired by query */
    ROW_RESIDENT, /* resident memory, tested over repeats; resolution 2 MiB */
    ROW_TIMED     /* times and rates, tested over repeats */
};

enum compare_verdict {
    VERDICT_SAME,   /* no significant difference */
    VERDICT_BETTER, /* B is better than A */
    VERDICT_WORSE,
    VERDICT_FEW_REPEATS, /* too few repeats for a verdict */
    VERDICT_TOLERATED,   /* significant, but within the tolerance */
    VERDICTS
};

/* The machine's speed differs between runs, and repeats within one run do not show this drift. It
   adds two terms to the variance of a run's mean log: DRIFT_SHARE times the variance among the
   run's repeats, and DRIFT_FLOOR squared. Both constants were measured on the reference machine
   under load (docs/measuring.md). */
#define DRIFT_SHARE 0.5
#define DRIFT_FLOOR 0.01

struct compare_row {
    char label[300], metric[200];
    enum compare_kind kind;
    int better;  /* +1: more is better, -1: less is better */
    size_t n[2]; /* repeats of A and of B */
    double a, b; /* medians over repeats; in a paired row, means over queries */
    /* 95 % interval of B / A - 1, or of B - A in a paired row; not adjusted for the number of
       tested rows; NAN: none */
    double low, high;
    double p;         /* adjusted for the number of tested rows; NAN: not tested */
    double change;    /* B - A, or log B - log A; its sign gives the direction of the verdict */
    double error, df; /* standard error of log(B / A) and its degrees of freedom; NAN: none */
    double visible;   /* the smallest |log(B / A)| detected with probability 0.8 if all times of
                         the step change together; NAN: unknown */
    enum compare_verdict verdict;
};
struct compare_rows {
    struct compare_row *row;
    size_t n, capacity;
    struct mem *mem; /* account of the rows and of work space; may be NULL */
};

/* One of the two compared results. */
struct compare_side {
    struct result result;
    struct summary samples; /* of its cells */
    /* Of recall@K/TAG and range_recall/TAG: the mean hits of each query over repeats. */
    struct summary hits;
};

/* Defined in compare_read.c. Each of the paths is a result.json or its folder. Where one result is
   packed, the numbers of the other are rounded as those are, before anything is computed from them.
   The caller frees both sides with compare_side_free(), also after an error. */
int compare_sides_read(struct compare_side *a, struct compare_side *b, const char *const paths[2],
                       struct error *);
void compare_side_free(struct compare_side *);

/* Defined in compare_differ.c. What makes the two incomparable: a new array of texts, one for each
   of data, k, metric, threads, seed, workload and --quick that differs. */
json_t *compare_differences(const struct compare_side *a, const struct compare_side *b);
/* Whether B has A's label, but not this measurement: a search that B does not support, for one. */
bool compare_is_lost(const struct summary_entry *of_a, const struct compare_side *b);

/* Defined in compare_judge.c. Makes a row with a verdict for every metric that both results have.
   The caller frees the rows with compare_rows_free(), also after ERR_NO_MEMORY. */
int compare_sides(struct compare_rows *, const struct compare_side *a, const struct compare_side *b,
                  struct error *);
void compare_rows_free(struct compare_rows *);
/* Rows of which B differs from A by at most `percent` of A are not better or worse. */
void compare_rows_tolerate(struct compare_rows *, double percent);

enum compare_format { COMPARE_TEXT, COMPARE_MARKDOWN, COMPARE_CSV, COMPARE_JSON };

/* Defined in compare_print.c. Prints the rows by verdict: worse, better, too few repeats, tolerated,
   no difference. Unless `all`, text and Markdown leave out rows without a difference; CSV and JSON
   have every row and plain numbers. Returns how many rows were left out. */
size_t compare_rows_print(const struct compare_rows *, enum compare_format, bool all, FILE *);

#endif
