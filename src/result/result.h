/* result.h - makes result.json from all cells, writes it atomically, and reads it.
 *
 * cells/NUMBER.json in the same folder holds one finished cell with its per-query data and key;
 * --resume and `compare` read it.
 */
#ifndef DRIFTLINE_RESULT_RESULT_H
#define DRIFTLINE_RESULT_RESULT_H

#include "src/result/read.h"
#include "src/run/cell.h"

/* Stores the array of cell_run() under dir/cells, with the cell's key, key parts and identity.
   `files` are moved beside it; NULL: none. */
int result_store_cell(const char *dir, const struct cell *, json_t *cells,
                      const char *const files[CELL_FILES], struct error *);
/* Reads dir/result.json as it is, unchecked; a result without cells if there is none. The caller
   calls result_close(). */
void result_read_earlier(const char *dir, struct result *);
/* Reads a stored cell if it finished, its key matches and it is as the earlier result has it; the
   caller owns *cells. Otherwise *cells is NULL and `why` holds the reason, or "" if no cell is
   stored. */
int result_stored_cell(const char *dir, const struct cell *, const struct result *earlier,
                       json_t **cells, char *why, size_t why_bytes, struct error *);

/* Gives each stored cell the number that the plan's cell of the same key has, in its file names. Called
   before a run reads or stores a cell. */
void result_renumber_cells(const char *dir, const struct plan *);
/* Whether a stored cell of dir/result.json measures what no cell of the plan does: other data,
   operations or methods; of a quick result, other data. */
bool result_measures_other(const char *dir, const struct plan *);

/* Reads the stored cells of the result in dir with per-query data into a new array, which is empty
   if none is stored. The caller owns *cells, also after an error. ERR_CORRUPT: a stored cell is not
   as the result has it. */
int result_all_stored(const char *dir, const struct result *, json_t **cells, struct error *);

/* Returns the *n numbers N of the files dir/cells/N.json whose cells dir/result.json has, ascending; of all
   files if there is no result.json; NULL: none. A smaller run leaves files of the run before. The caller
   frees them with mem_free() and the account NULL. */
unsigned long *result_stored_numbers(const char *dir, size_t *n);

/* Progress and options of a run. */
struct result_run {
    size_t planned, finished, kept; /* cells; kept: read from an earlier run by --resume */
    bool quick, in_process;
};

/* Makes the whole document: a summary (medians over repeats with intervals, by LABEL[point] and
   metric), claims, published and measured values, environment and datasets. `cells` concatenates
   the arrays of cell_run(). Takes the reference `environment`. The caller calls result_close(),
   also after an error. */
int result_make(struct experiment *, const struct oracle *, json_t *environment,
                const struct result_run *, json_t *cells, struct result *, struct error *);
/* Returns the new `run` object of a result: its options and progress. NULL: out of memory. */
json_t *result_run_json(const struct experiment *, const struct result_run *);
int result_save(const json_t *result, const char *dir, struct error *);
/* Reads a result, which may be packed, and checks its schema, required fields and number ranges. The
   caller calls
   result_close(), also after an error. ERR_VERSION: another schema. ERR_CORRUPT: a field is
   invalid. */
int result_load(const char *path, struct result *, struct error *);
/* Sets *dir to the folder of a result, given the folder, its result.json, or a packed result
   FOLDER.json.gz, which is unpacked to FOLDER/result.json. ERR_ARGUMENT: a run has written that. The
   caller frees *dir with free(), also after an error. */
int result_dir(const char *path, char **dir, struct error *);
/* Whether a file in the folder of a result belongs to a figure: NUMBER-NAME.svg and others. */
bool result_is_figure(const char *name);
void result_remove_figures(const char *dir);

#endif
