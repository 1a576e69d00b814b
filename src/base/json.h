/* json.h - optional fields of JSON objects, numbers that may not be finite, and JSON files. */
#ifndef DRIFTLINE_BASE_JSON_H
#define DRIFTLINE_BASE_JSON_H

#include <jansson.h>
#include <math.h>

#include "src/core/error.h"
#include "src/core/param.h"

/* The string in a field, owned by the object; `otherwise` if the field is not a string. */
static inline const char *field_text(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : otherwise;
}

/* The number in a field, or NAN. */
static inline double field_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* The integer in a field; `otherwise` if the field is not an integer. */
static inline long long field_integer(const json_t *object, const char *name, long long otherwise)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* A new JSON value: null for NAN and infinity, an integer for a whole |value| < 9e15. */
static inline json_t *json_number(double value)
{
    if (!isfinite(value))
        return json_null();
    if (value == floor(value) && fabs(value) < 9e15)
        return json_integer((json_int_t)value);
    return json_real(value);
}

/* The same, but a whole value stays a real number: of what is measured, whose type does not depend on its value. */
static inline json_t *json_measured(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* The values of options. A string belongs to the JSON. */
struct param_value json_param_value(const json_t *);
/* A new value: the option's in this struct; an integer for an option of whole numbers. */
json_t *json_of_param(const struct param *, const void *values);
/* A new object of the values of both, those of b before those of a, ordered by name; b may be NULL.
   NULL: out of memory. */
json_t *json_sorted(const json_t *a, const json_t *b);
/* Writes the value as "name=value" has it: 4, 0.5, true, text. */
void json_value_text(const json_t *, char *text, size_t bytes);

/* A new value of a file of JSON of at most 4 GiB, which may be gzip, or NULL with ERR_NOT_FOUND, ERR_IO,
   ERR_NO_MEMORY or ERR_CORRUPT. The message for invalid JSON contains the line and the column. */
json_t *json_read(const char *path, struct error *);
/* OK, ERR_NO_MEMORY or ERR_IO. On an error, an earlier file at path is kept. */
int json_write(const char *path, const json_t *, struct error *);
/* The same as gzip, the same bytes for the same value. Also ERR_UNSUPPORTED: more than 4 GiB. */
#define JSON_PACKED_DIGITS 6 /* of numbers that are not integers */
int json_write_packed(const char *path, const json_t *, struct error *);
/* Gives each number of the value what it would have after json_write_packed() and json_read(). */
void json_round_packed(json_t *);

#endif
