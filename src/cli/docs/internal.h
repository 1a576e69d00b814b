/* internal.h - shared by the generators of documents. */
#ifndef DRIFTLINE_CLI_DOCS_INTERNAL_H
#define DRIFTLINE_CLI_DOCS_INTERNAL_H

#include <dirent.h>
#include <stdio.h>

#include "src/base/atomic_file.h"
#include "src/cli/docs/docs.h"
#include "src/core/param.h"

/* page.c */

/* Writes FOLDER/NAME unless the file already has this content. Frees the page, also on failure. */
int docs_finish(struct atomic_text *page, const char *folder, const char *name, struct error *);
/* Writes a cell of a Markdown table; escapes '|' and '<'. */
void docs_cell(FILE *, const char *text);
/* "100", "2^22", "1e9" */
void docs_number(FILE *, double);

/* A generator writes the lines of a block. `arguments` has what follows "of", or "". DOCS_ABSENT
   leaves the block as it is. */
enum docs_result { DOCS_WRITTEN, DOCS_ABSENT, DOCS_FAILED };
typedef enum docs_result docs_generator(const struct docs_program *, FILE *, const char *arguments,
                                        struct error *);

docs_generator docs_options;   /* NAME...: the tables of options of methods */
docs_generator docs_synthetic; /* the options of the kinds of synthetic data */
docs_generator docs_language;  /* SECTION of src/config/script/language.def */
docs_generator docs_metrics;   /* the metrics of results */
docs_generator docs_figures;   /* the kinds of figures */
docs_generator docs_fields;    /* MEMBER of result.json, from its schema */
docs_generator docs_configs;   /* FOLDER below configs/, or "configs" itself */
docs_generator docs_results;   /* a table of results/reference/NAME.json.gz, see reference.c */
docs_generator docs_claims;    /* NAME: the claims of results/reference/NAME.json.gz */
docs_generator docs_ranks;     /* NAME | NAME...: the board of results of configs/leaderboard.lua */

/* reference.c: frees the result of the last block of results or claims */
void docs_results_end(void);

/* configs.c: for scandir(), the files of a folder that are configs */
int docs_is_config(const struct dirent *);

/* man.c */
void docs_man(const struct docs_program *, FILE *);

#endif
