/* json_file.h - JSON in files: read whole, written whole or not at all. */
#ifndef DRIFTLINE_JSON_FILE_H
#define DRIFTLINE_JSON_FILE_H

#include <jansson.h>

#include "core/error.h"

/* NULL with the cause in err: ERR_NOT_FOUND, ERR_IO, ERR_CORRUPT with line and column. */
json_t *read_json(const char *path, struct error *);
/* ERR_IO names the path; what was there before is then kept. */
int write_json(const char *path, const json_t *, struct error *);

#endif
