/* json_field.h - reading one field of a JSON object that may not have it; numbers that may not be finite. */
#ifndef DRIFTLINE_JSON_FIELD_H
#define DRIFTLINE_JSON_FIELD_H

#include <jansson.h>
#include <math.h>

/* The text of a field, or `otherwise` where there is none. Borrowed from the object. */
static inline const char *field_text(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : otherwise;
}

/* The number of a field, or NAN. */
static inline double field_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* The whole number of a field, or `otherwise` where it has none. */
static inline long long field_integer(const json_t *object, const char *name, long long otherwise)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* A number as JSON: null for NAN and infinity, an integer where it is one. */
static inline json_t *json_number(double value)
{
    if (!isfinite(value))
        return json_null();
    if (value == floor(value) && fabs(value) < 9e15)
        return json_integer((json_int_t)value);
    return json_real(value);
}

#endif
