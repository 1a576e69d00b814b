/* whole_file.h - files written whole or not at all. */
#ifndef DRIFTLINE_WHOLE_FILE_H
#define DRIFTLINE_WHOLE_FILE_H

#include <stddef.h>

#include "core/error.h"

/* Puts bytes at path. ERR_IO names the path and what to do; what was there before is then kept. */
int write_whole_file(const char *path, const char *text, size_t bytes, struct error *);

#endif
