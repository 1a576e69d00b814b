/* json.c - see json.h. */
#include "src/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/atomic_file.h"

/* For json_load_callback(); json_loadf() and json_loadfd() read single bytes. */
static size_t take(void *to, size_t bytes, void *file)
{
    const size_t n = fread(to, 1, bytes, file);
    return n == 0 && ferror(file) ? (size_t)-1 : n;
}

/* Without O_NONBLOCK, opening a named pipe could block for ever. */
json_t *json_read(const char *path, struct error *err)
{
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    FILE *file = NULL;
    json_error_t why;
    struct stat st;
    json_t *json = NULL;

    if (fd < 0)
        (void)fail_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot be read", path);
    else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        (void)fail(err, ERR_CORRUPT, "%s: is not a regular file", path);
    else if (!(file = fdopen(fd, "r")))
        (void)fail(err, ERR_NO_MEMORY, "%s: out of memory, cannot read it", path);
    else if (!(json = json_load_callback(take, file, 0, &why)))
        (void)fail(err, ERR_CORRUPT, "%s:%d:%d: not JSON: %s", path, why.line, why.column,
                   why.text);
    if (file)
        (void)fclose(file);
    else if (fd >= 0)
        (void)close(fd);
    return json;
}

int json_write(const char *path, const json_t *json, struct error *err)
{
    char *text = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(12));

    if (!text)
        return fail(err, ERR_NO_MEMORY, "%s: out of memory, cannot write it", path);
    const size_t n = strlen(text);
    text[n] = '\n'; /* replaces the terminator: the length is known */
    const int rc = atomic_file_write(path, text, n + 1, err);
    free(text);
    return rc;
}
