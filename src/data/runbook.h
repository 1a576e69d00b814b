/* runbook.h - big-ann-benchmarks' streaming runbooks: which points arrive, leave and are asked for,
 * in numbered steps.
 *
 *     msturing-10M:                 the dataset it was written for; a file may hold several
 *       max_pts: 5000000            required: the most points live at once (not the ids' range,
 * which is larger) gt_url: "https://..."       optional, not used 1: operation: insert insert and
 * delete: ids start .. end - 1 start: 0 end: 50000 2: operation: search 3: operation: replace tags
 * keep, their vectors become those of ids_start .. ids_end - 1 tags_start: 0 ...
 *
 * The subset of YAML these files are written in is read by hand: it is a page of code, and a
 * message can name the line and the dataset. Refused, by name and line: gaps in the numbering
 * (which may begin at 0 or 1), unknown, repeated and missing keys, empty ranges, ranges past the
 * data, replace ranges of unequal length, inserting what is live, deleting or replacing what is
 * not, and more live points than max_pts. All 15 files of neurips23 pass.
 */
#ifndef DRIFTLINE_RUNBOOK_H
#define DRIFTLINE_RUNBOOK_H

#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"

enum runbook_operation { RUNBOOK_INSERT, RUNBOOK_DELETE, RUNBOOK_SEARCH, RUNBOOK_REPLACE };

struct runbook_step {
    enum runbook_operation operation;
    uint64_t number;     /* as in the file */
    size_t line;         /* of the number, from 1 */
    uint64_t start, end; /* insert: ids, which become tags; delete, replace: tags; half-open */
    uint64_t ids_start, ids_end; /* replace: the vectors the tags get */
};

struct runbook {
    char dataset[128];
    char gt_url[512];
    uint64_t max_pts;
    uint64_t rows_needed; /* one past the largest id: how many rows the data must have */
    struct runbook_step *steps;
    size_t n;
};

/* Reads the block of `dataset` (NULL: the first) from a file, gzipped or not. rows: of the data it
   will run on, 0 where the ids are to be rescaled. ERR_CORRUPT with "path:line: dataset: ...",
   ERR_NOT_FOUND naming the datasets there are, ERR_IO, ERR_NO_MEMORY. Freed with runbook_close(),
   also after an error. */
int runbook_open(const char *path, const char *dataset, uint64_t rows, struct runbook *,
                 struct error *);
/* The same from text in memory. */
int runbook_parse(const char *name, const char *text, size_t bytes, const char *dataset,
                  uint64_t rows, struct runbook *, struct error *);
void runbook_close(struct runbook *);

#endif
