/* pack.h - packed results, NAME.json.gz: a result in one small file, to be sent or published. */
#ifndef DRIFTLINE_RESULT_PACK_H
#define DRIFTLINE_RESULT_PACK_H

#include <jansson.h>
#include <stdbool.h>

#include "src/core/error.h"

/* The end of the name of a packed result. */
#define RESULT_PACKED ".json.gz"
/* Whether the name is that of a packed result. */
bool result_is_packed(const char *path);
/* Writes the result to `path`, NAME.json.gz, without what is computed from the rest, its summary, and
   what only figures of the distribution of latencies and of the inside of an index need: counts of
   latencies, and tables of statistics. A step that is that of the cell before, which several points of
   a sweep share, is null; result_load() puts it back. Numbers have six digits, and `run` says so. */
int result_pack(const json_t *result, const char *path, struct error *);
/* Sets run.digits, which packed results of earlier versions lack, for result_load(). */
void result_note_digits(json_t *result);
/* Puts back those steps of a packed result, for result_load(). ERR_CORRUPT: there is none to put
   back. */
int result_restore(const char *path, const json_t *result, struct error *);

#endif
