/* require.h - the Lua files that a config consists of, and the hashes of all files it reads. */
#ifndef DRIFTLINE_CONFIG_REQUIRE_H
#define DRIFTLINE_CONFIG_REQUIRE_H

#include "src/config/script/script.h"

/* Reads a text file, for script_run_file() and require; owned by the script. NULL: ERR_NOT_FOUND,
   ERR_IO, ERR_CONFIG if it is too large, ERR_NO_MEMORY. */
const struct script_file *script_read_file(struct script *, const char *path, struct error *);
/* Notes that the config read a file that is neither Lua nor a data set; config_sha256 covers it. */
int script_note_file(struct script *, const char *path, struct error *);
/* Sets experiment.config_files and config_sha256, once all files are read. */
int script_hash_files(struct script *, struct error *);
/* Pushes the compiled file, or an error message; returns the status of lua_load(). */
int script_load_chunk(struct script *, const struct script_file *);
int script_require(lua_State *); /* the global require */

#endif
