/* runbook.h - streaming runbooks of big-ann-benchmarks and CANDOR-Bench: which points are inserted,
 * deleted, replaced and searched, in numbered steps.
 *
 *     msturing-10M:              # the dataset that it is for; a file may hold several
 *       max_pts: 5000000         # required: the most live points at a time; ids may be larger.
 *                                # Files state too little, so it is raised, with a warning
 *       gt_url: "https://..."    # optional, not used
 *       1:
 *         operation: insert      # insert and delete: ids start .. end - 1
 *         start: 0
 *         end: 50000
 *       2:
 *         operation: search      # with start and end, both or none: only these of the queries
 *       3:
 *         operation: replace     # tags stay live and get the vectors of
 *         tags_start: 0          # ids_start .. ids_end - 1
 *         ...
 *
 * CANDOR-Bench has these, too, as its runner of streams (congestion) takes them:
 *
 *       1:
 *         operation: initial             # an insertion that indexes may be trained on
 *         start: 0
 *         end: 50000
 *       2:
 *         operation: batch_insert_delete # or batch_insert, without deletion_percentage
 *         start: 50000
 *         end: 100000
 *         batchSize: 2500                # rows of each insertion
 *         eventRate: 10000               # optional: rows that arrive per second
 *         deletion_percentage: 0.1       # the share of each batch that is deleted, from its end
 *         continuousQuery: false         # optional: searches in between; default true
 *       3:
 *         operation: waitPending         # and startHPC, endHPC: no change of points
 *
 * A file is one YAML document; an alias is its value. Steps may stand in any order. These are errors, which
 * name the line: gaps in the numbers of steps, which begin at 0 or 1; numbers given twice; unknown,
 * repeated and missing keys; empty ranges; replace ranges of unequal length. Which points are live is
 * checked where the steps are recorded (src/config/workload/runbook.c). Where a dataset is named,
 * other blocks are passed over. All 15 files of neurips23 pass.
 */
#ifndef DRIFTLINE_RUNBOOK_H
#define DRIFTLINE_RUNBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"

enum runbook_operation {
    RUNBOOK_INSERT,
    RUNBOOK_DELETE,
    RUNBOOK_SEARCH,
    RUNBOOK_REPLACE,
    RUNBOOK_INITIAL,
    RUNBOOK_BATCH_INSERT,
    RUNBOOK_BATCH_INSERT_DELETE,
    RUNBOOK_WAIT, /* and whatever else changes no points */
    RUNBOOK_START,
    RUNBOOK_END,
    RUNBOOK_OPERATIONS
};

struct runbook_step {
    enum runbook_operation operation;
    uint64_t number; /* as in the file */
    size_t line;     /* of the number, from 1 */
    /* half-open range; insert: ids, which become tags; delete, replace: tags; search: queries,
       0 to 0: all */
    uint64_t start, end;
    uint64_t ids_start, ids_end; /* replace: ids of the tags' new vectors */
    uint64_t batch;              /* batch_insert, batch_insert_delete: ids of each insertion */
    double rate;                 /* likewise: ids per second; 0: not given */
    double deleted;              /* batch_insert_delete: share of each batch */
    bool quiet;                  /* likewise: no searches in between */
};

struct runbook {
    char dataset[128];
    uint64_t max_pts;        /* at least the most live points of any step */
    uint64_t rows_needed;    /* one past the largest id: the least number of rows of the data */
    uint64_t queries_needed; /* one past the largest query of a range; 0: no search has a range */
    char warning[512];       /* "path:line: ..." if max_pts was raised, or "" */
    struct runbook_step *steps; /* in the order of their numbers */
    size_t n;
};

/* Reads the runbook of `dataset`, NULL: the first, from a file, gzipped or not. Freed with
   runbook_close(), also after an error. ERR_CORRUPT with "path:line: dataset: ...", ERR_NOT_FOUND
   with the datasets of the file, ERR_IO, ERR_NO_MEMORY. */
int runbook_open(const char *path, const char *dataset, struct runbook *, struct error *);
/* As runbook_open(), from a string in memory; name is for messages. */
int runbook_parse(const char *name, const char *text, size_t bytes, const char *dataset,
                  struct runbook *, struct error *);
void runbook_close(struct runbook *);
/* The first of the ids that batch_insert_delete deletes of the batch first .. last - 1, up to its end. */
uint64_t runbook_first_deleted(const struct runbook_step *, uint64_t first, uint64_t last);

#endif
