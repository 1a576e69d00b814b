/* param.h - option tables: name, type, default, range and help in one row, next to the struct they
 * fill.
 *
 *     struct divf_params { int64_t soft_k; ... };
 *     static const struct param divf_param_table[] = {
 *         PARAM_INT(struct divf_params, soft_k, 1, 1, 8, "lists a vector is filed in; memory grows
 * with it"), PARAM_END };
 *
 * Parsing, ranges, help, documents and spelling hints all read the row, so they cannot disagree.
 */
#ifndef DRIFTLINE_PARAM_H
#define DRIFTLINE_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum param_type {
    PARAM_TYPE_INT,
    PARAM_TYPE_REAL,
    PARAM_TYPE_BOOL,
    PARAM_TYPE_CHOICE,
    PARAM_TYPE_TEXT
};

#define PARAM_TEXT_BYTES 256

struct param {
    const char *name; /* NULL ends a table */
    enum param_type type;
    size_t offset;        /* of an int64_t, double, bool, int64_t (index of the choice),
                             char[PARAM_TEXT_BYTES] */
    double def, min, max; /* numbers; def is 0/1 for a bool and the index for a choice */
    const char *choices;  /* "ram|mmap" */
    const char *text;     /* default of a text */
    const char *help;     /* one line: what it does, and the trade */
};

#define PARAM_INT(type, field, def, min, max, help)                                  \
    {                                                                                \
#field, PARAM_TYPE_INT, offsetof(type, field), (double)(def), (double)(min), \
            (double)(max), NULL, NULL, help                                          \
    }
#define PARAM_REAL(type, field, def, min, max, help)                                          \
    {                                                                                         \
#field, PARAM_TYPE_REAL, offsetof(type, field), (def), (min), (max), NULL, NULL, help \
    }
#define PARAM_BOOL(type, field, def, help)                                                        \
    {                                                                                             \
#field, PARAM_TYPE_BOOL, offsetof(type, field), (def) ? 1.0 : 0.0, 0, 1, NULL, NULL, help \
    }
#define PARAM_CHOICE(type, field, def, choices, help)                                              \
    {                                                                                              \
#field, PARAM_TYPE_CHOICE, offsetof(type, field), (double)(def), 0, 0, choices, NULL, help \
    }
#define PARAM_TEXT(type, field, def, help)                                       \
    {                                                                            \
#field, PARAM_TYPE_TEXT, offsetof(type, field), 0, 0, 0, NULL, def, help \
    }
#define PARAM_END                                          \
    {                                                      \
        NULL, PARAM_TYPE_INT, 0, 0, 0, 0, NULL, NULL, NULL \
    }

/* A value as a config or the command line gives it. */
struct param_value {
    enum { VALUE_NUMBER, VALUE_BOOL, VALUE_TEXT } kind;
    double number;
    bool truth;
    const char *text;
};

/* Fills every field of the struct at `out` with its default. table may be NULL (no options). */
void param_defaults(const struct param *table, void *out);
const struct param *param_find(const struct param *table, const char *name);
size_t param_count(const struct param *table);
/* Sets one field. ERR_CONFIG for an unknown name (with "did you mean"), a wrong type, or a value
   out of range; `owner` is named in the sentence: `method "divf"`. Text is accepted for numbers and
   bools ("4", "true"), as the command line gives it. out is unchanged on failure. */
int param_set(const struct param *table, void *out, const char *name, struct param_value,
              const char *owner, struct error *);
/* Reads one field back, the choice as its name; text points into out or into choices' static copy
 * in `scratch`. */
struct param_value param_get(const struct param *, const void *out, char scratch[PARAM_TEXT_BYTES]);
/* Whether every field is one that param_set() would take: for options that come from a file. */
bool param_possible(const struct param *table, const void *out);
/* One line for people: "soft_k  int  1  1 .. 8  lists a vector ...". */
void param_describe(const struct param *, char *line, size_t line_bytes);

#endif
