/* runbook.h - streaming runbooks of big-ann-benchmarks: which points are inserted, deleted,
 * replaced and searched, in numbered steps.
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
 * A file is one YAML document without aliases. Steps may stand in any order. These are errors, which
 * name the line: gaps in the numbers of steps, which begin at 0 or 1; numbers given twice; unknown,
 * repeated and missing keys; empty ranges; ranges past the data; replace ranges of unequal length; inserting live points; deleting or replacing
 * points that are not live. All 15 files of neurips23 pass.
 */
#ifndef DRIFTLINE_RUNBOOK_H
#define DRIFTLINE_RUNBOOK_H

#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"

enum runbook_operation { RUNBOOK_INSERT, RUNBOOK_DELETE, RUNBOOK_SEARCH, RUNBOOK_REPLACE };

struct runbook_step {
    enum runbook_operation operation;
    uint64_t number; /* as in the file */
    size_t line;     /* of the number, from 1 */
    /* half-open range; insert: ids, which become tags; delete, replace: tags; search: queries,
       0 to 0: all */
    uint64_t start, end;
    uint64_t ids_start, ids_end; /* replace: ids of the tags' new vectors */
};

struct runbook {
    char dataset[128];
    char gt_url[512];
    uint64_t max_pts;        /* at least the most live points of any step */
    uint64_t rows_needed;    /* one past the largest id: the least number of rows of the data */
    uint64_t queries_needed; /* one past the largest query of a range; 0: no search has a range */
    char warning[512];       /* "path:line: ..." if max_pts was raised, or "" */
    struct runbook_step *steps; /* in the order of their numbers */
    size_t n;
};

/* Reads the runbook of `dataset`, NULL: the first, from a file, gzipped or not. rows: of
   the data; 0: any, as the caller scales ids. Freed with runbook_close(), also after an
   error. ERR_CORRUPT with "path:line: dataset: ...", ERR_NOT_FOUND with the datasets of the
   file, ERR_IO, ERR_NO_MEMORY. */
int runbook_open(const char *path, const char *dataset, uint64_t rows, struct runbook *,
                 struct error *);
/* As runbook_open(), from a string in memory; name is for messages. */
int runbook_parse(const char *name, const char *text, size_t bytes, const char *dataset,
                  uint64_t rows, struct runbook *, struct error *);
void runbook_close(struct runbook *);

#endif
