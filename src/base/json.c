/* json.c - see json.h. */
#include "src/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "src/base/atomic_file.h"
#include "src/core/order.h"

/* ---- objects and values of options */

json_t *json_sorted(const json_t *a, const json_t *b)
{
    json_t *both = json_copy((json_t *)(uintptr_t)a), *sorted = json_object(), *value;
    const char *key, **names = NULL;
    size_t n = 0;

    if (b)
        json_object_update(both, (json_t *)(uintptr_t)b);
    names = malloc((json_object_size(both) + 1) * sizeof *names);
    json_object_foreach(both, key, value)
        if (names)
            names[n++] = key;
    if (names)
        qsort(names, n, sizeof *names, order_text);
    for (size_t i = 0; i < n; i++)
        json_object_set(sorted, names[i], json_object_get(both, names[i]));
    if (json_object_size(sorted) < json_object_size(both)) {
        json_decref(sorted);
        sorted = NULL;
    }
    free(names);
    json_decref(both);
    return sorted;
}

struct param_value json_param_value(const json_t *json)
{
    if (json_is_string(json))
        return (struct param_value){ VALUE_TEXT, 0, false, json_string_value(json) };
    if (json_is_boolean(json))
        return (struct param_value){ VALUE_BOOL, 0, json_is_true(json), NULL };
    return (struct param_value){ VALUE_NUMBER, json_number_value(json), false, NULL };
}

json_t *json_of_param(const struct param *p, const void *values)
{
    char scratch[PARAM_TEXT_BYTES];
    const struct param_value v = param_get(p, values, scratch);

    return v.kind == VALUE_BOOL        ? json_boolean(v.boolean)
           : v.kind == VALUE_TEXT      ? json_string(v.text)
           : p->type == PARAM_TYPE_INT ? json_integer((json_int_t)v.number)
                                       : json_real(v.number);
}

void json_value_text(const json_t *value, char *text, size_t bytes)
{
    if (json_is_string(value))
        (void)snprintf(text, bytes, "%.200s", json_string_value(value));
    else if (json_is_boolean(value))
        (void)snprintf(text, bytes, "%s", json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        (void)snprintf(text, bytes, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        (void)snprintf(text, bytes, "%.10g", json_real_value(value));
}

/* ---- files */

/* A small gzip file can hold more than the memory. */
#define READ_BYTES_MAX ((size_t)4 << 30)

struct reading {
    gzFile file;
    size_t bytes;
};

/* For json_load_callback(); json_loadf() and json_loadfd() read single bytes. */
static size_t take(void *to, size_t bytes, void *reading)
{
    struct reading *r = reading;
    const int n = gzread(r->file, to, (unsigned)bytes);

    r->bytes += n > 0 ? (size_t)n : 0;
    return n < 0 || r->bytes > READ_BYTES_MAX ? (size_t)-1 : (size_t)n;
}

static json_t *read_open(gzFile file, const char *path, struct error *err)
{
    struct reading reading = { file, 0 };
    json_error_t why;
    json_t *json = json_load_callback(take, &reading, 0, &why);
    int code;
    const char *gzip = gzerror(file, &code); /* "<fd:3>: what is wrong" */
    const char *wrong = gzip ? strstr(gzip, ": ") : NULL;

    if (!json && reading.bytes > READ_BYTES_MAX)
        (void)fail(err, ERR_CORRUPT, "%s: more than 4 GiB of JSON", path);
    else if (!json && code != Z_OK && code != Z_STREAM_END)
        (void)fail(err, ERR_CORRUPT, "%s: damaged: %s", path, wrong ? wrong + 2 : gzip);
    else if (!json)
        (void)fail(err, ERR_CORRUPT, "%s:%d:%d: not JSON: %s", path, why.line, why.column,
                   why.text);
    return json;
}

/* Without O_NONBLOCK, opening a named pipe could block for ever. */
json_t *json_read(const char *path, struct error *err)
{
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    gzFile file = NULL;
    struct stat st;
    json_t *json = NULL;

    if (fd < 0)
        (void)fail_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot be read", path);
    else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        (void)fail(err, ERR_CORRUPT, "%s: is not a regular file", path);
    else if (!(file = gzdopen(fd, "rb")))
        (void)fail(err, ERR_NO_MEMORY, "%s: out of memory, cannot read it", path);
    else
        json = read_open(file, path, err);
    if (file)
        (void)gzclose(file);
    else if (fd >= 0)
        (void)close(fd);
    return json;
}

/* The text of a value; the caller frees it. NULL: fails with ERR_NO_MEMORY. */
static char *text_of(const char *path, const json_t *json, size_t flags, struct error *err)
{
    char *text = json_dumps(json, flags);

    if (!text)
        (void)fail(err, ERR_NO_MEMORY, "%s: out of memory, cannot write it", path);
    return text;
}

int json_write(const char *path, const json_t *json, struct error *err)
{
    char *text = text_of(path, json, JSON_INDENT(1) | JSON_REAL_PRECISION(12), err);

    if (!text)
        return err->code;
    const size_t n = strlen(text);
    text[n] = '\n'; /* replaces the terminator: the length is known */
    const int rc = atomic_file_write(path, text, n + 1, err);
    free(text);
    return rc;
}

/* gzip without a name and a time: the same bytes for the same text. */
static int write_gzip(const char *path, char *text, size_t n, struct error *err)
{
    z_stream z = { .next_in = (Bytef *)text, .avail_in = (uInt)n };
    int rc = OK;

    if (n > UINT_MAX)
        return fail(err, ERR_UNSUPPORTED, "%s: more than 4 GiB of JSON", path);
    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, MAX_MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return fail(err, ERR_NO_MEMORY, "%s: out of memory, cannot write it", path);
    const size_t most = deflateBound(&z, n);
    Bytef *packed = malloc(most);
    z.next_out = packed;
    z.avail_out = most <= UINT_MAX ? (uInt)most : UINT_MAX;
    if (!packed || deflate(&z, Z_FINISH) != Z_STREAM_END)
        rc = fail(err, ERR_NO_MEMORY, "%s: out of memory, cannot write it", path);
    else
        rc = atomic_file_write(path, packed, z.total_out, err);
    (void)deflateEnd(&z);
    free(packed);
    return rc;
}

int json_write_packed(const char *path, const json_t *json, struct error *err)
{
    char *text = text_of(path, json, JSON_COMPACT | JSON_REAL_PRECISION(JSON_PACKED_DIGITS), err);
    const int rc = text ? write_gzip(path, text, strlen(text), err) : err->code;

    free(text);
    return rc;
}

void json_round_packed(json_t *json)
{
    const char *key;
    json_t *of;
    size_t i;
    char text[40];

    json_array_foreach(json, i, of)
        json_round_packed(of);
    json_object_foreach(json, key, of)
        json_round_packed(of);
    if (!json_is_real(json))
        return;
    (void)snprintf(text, sizeof text, "%.*g", JSON_PACKED_DIGITS, json_real_value(json));
    (void)json_real_set(json, strtod(text, NULL));
}
