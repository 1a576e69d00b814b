/* ranking.h - what each build of a result answers and costs, and which builds are worth measuring
 * again on more rows. */
#ifndef DRIFTLINE_RANKING_H
#define DRIFTLINE_RANKING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "src/core/error.h"
#include "src/core/registry.h"
#include "src/result/read.h"

/* One build, in the repeat with its median rate; one that failed is the slowest. Texts and `cell` belong
   to the result. NAN: not measured. */
struct ranking_build {
    const struct result_cell *cell;
    const char *label;
    size_t family; /* length of the label without its number: "divf, RaBitQ" of "divf, RaBitQ 2" */
    const char *failed;  /* why it has no rank; NULL: it has one */
    const char *point;   /* that answers it, such as "M=16,ef_search=48"; NULL: it has no points */
    const json_t *knobs; /* of that point; NULL: the defaults */
    double qps, p99_s, recall;
    double below_half; /* share of the queries, one at a time, with a recall below .5 */
    double distances;  /* exact ones, per query */
    double memory_bytes, disk_bytes; /* at the end; memory: as measured, if that is more */
    double build_s;                  /* training and the first insertion */
    double insert_s, delete_s;       /* for each row inserted after that, and deleted */
    double maintain_s;               /* explicit maintenance, in total */
    double cell_s;                   /* the whole cell */
    double next_s;                   /* the caller's estimate of the whole cell in the next round */
    bool kept;                       /* by ranking_keep() */
};

struct ranking {
    struct ranking_build *of; /* those with a rank first, the fastest first */
    size_t n, ranked;
    size_t kept;             /* set by ranking_keep(): the number of builds, */
    double fewest_s, kept_s; /* and next_s of the two best, and of all that are kept */
};

struct ranking_wish {
    double recall;       /* that the answers must have, on queries that did not tune */
    double memory_bytes; /* that an index may take at the end, at most; 0: any */
    bool batches;        /* rank by the rate of batches, not of single queries */
};

/* Ranks the builds of a result by the search step with this tag. The result must outlive the
   ranking. ERR_NOT_FOUND: no build has such a step. */
int ranking_read(struct ranking *, const struct result *, const char *tag,
                 const struct ranking_wish *, struct error *);
void ranking_free(struct ranking *);

struct ranking_next {
    double seconds; /* that the next cells may take together */
    double within;  /* a family is kept if its rate times this reaches the best rate */
};

/* Whether both are builds of one entry of the list of methods. */
bool ranking_same_family(const struct ranking_build *, const struct ranking_build *);
/* The build of the same family with the best rank. */
const struct ranking_build *ranking_best_of_family(const struct ranking *,
                                                   const struct ranking_build *);

/* Marks the builds to measure again, by rank: the best of each family within reach of the best of
   all, then others within a fifth of their family's best, while `seconds` last. Always marks two,
   if there are two; returns whether these two fit. Successive halving: Jamieson and Talwalkar 2016.
 */
bool ranking_keep(struct ranking *, const struct ranking_next *);

/* Prints one table in Markdown: those with a rank, the fastest first. families: the best of each alone. */
int ranking_print(const struct ranking *, bool families, FILE *, struct error *);

/* Prints, in Markdown, the rank and the rate of each family in each result, by the best of its builds;
   then a table for each result. A result whose tag has no searches is left out. */
int ranking_print_board(const struct result *results, size_t n, const char *tag,
                        const struct ranking_wish *, FILE *, struct error *);

/* The method and its parameters, as the table has them. Returns `text`. */
const char *ranking_name(const struct ranking_build *, char text[400]);

/* Prints a call of method{} that makes this build answer at its point: parameters that differ from
   the method's defaults, and its search parameters. */
int ranking_print_method(const struct ranking_build *, const struct registry *, FILE *,
                         struct error *);

#endif
