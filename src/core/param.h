/* param.h - option tables: one row holds an option's name, type, default, range and help.
 *
 *     struct divf_params { int64_t soft_k; ... };
 *     static const struct param divf_param_table[] = {
 *         PARAM_INT(struct divf_params, soft_k, 1, 1, 8, "lists per vector; costs memory"),
 *         PARAM_END,
 *     };
 *
 * A table stands next to its struct. Parsing, range checks, help, documents and spelling hints all
 * read the same row, so they cannot disagree.
 */
#ifndef DRIFTLINE_PARAM_H
#define DRIFTLINE_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"

#ifdef __cplusplus
extern "C" {
/* A row of options sets the fields it needs by name; C allows it without a warning. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wc++20-designator"
#endif
#endif

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
    double def, min, max; /* def: 0 or 1 for a bool, the index for a choice */
    const char *choices;  /* "ram|mmap" */
    const char *text;     /* the default of a text */
    const char *help;     /* one line: the effect and its cost */
    /* The value in the method's paper, as text; NULL: the default is that value, or the paper has
       no such option. preset = "paper" in a config gives these values. */
    const char *paper;
    /* Names from earlier releases. They are read as the new names and shown nowhere. */
    const char *old_name; /* "probes"; NULL: none */
    /* "volatile=none|disk=mmap", each old=new; NULL: none. In PARAM_END_GONE: options of earlier
       releases, each name=what to do now. */
    const char *old_choices;
    bool live; /* a build option that may change while the index lives; index_ops.set_params */
};

/* The last argument is the help; fields of struct param may follow it:
 *
 *     PARAM_INT(struct ampi_knobs, nprobe, 16, 1, 4096, "clusters searched", .old_name = "probes")
 */
// clang-format off
#define PARAM_INT(type_, field, def_, min_, max_, ...)                           \
    { .name = #field, .type = PARAM_TYPE_INT, .offset = offsetof(type_, field),  \
      .def = (double)(def_), .min = (double)(min_), .max = (double)(max_), .help = __VA_ARGS__ }
#define PARAM_REAL(type_, field, def_, min_, max_, ...)                          \
    { .name = #field, .type = PARAM_TYPE_REAL, .offset = offsetof(type_, field), \
      .def = (def_), .min = (min_), .max = (max_), .help = __VA_ARGS__ }
#define PARAM_BOOL(type_, field, def_, ...)                                      \
    { .name = #field, .type = PARAM_TYPE_BOOL, .offset = offsetof(type_, field), \
      .def = (def_) ? 1.0 : 0.0, .max = 1, .help = __VA_ARGS__ }
#define PARAM_CHOICE(type_, field, def_, choices_, ...)                            \
    { .name = #field, .type = PARAM_TYPE_CHOICE, .offset = offsetof(type_, field), \
      .def = (double)(def_), .choices = (choices_), .help = __VA_ARGS__ }
#define PARAM_TEXT(type_, field, def_, ...)                                      \
    { .name = #field, .type = PARAM_TYPE_TEXT, .offset = offsetof(type_, field), \
      .text = (def_), .help = __VA_ARGS__ }
#define PARAM_END { .name = NULL }
/* Ends a table whose options of earlier releases are gone: "scan_dims=take it out: ..." */
#define PARAM_END_GONE(gone) { .name = NULL, .old_choices = (gone) }
// clang-format on

/* A value from a config or the command line. */
struct param_value {
    enum { VALUE_NUMBER, VALUE_BOOL, VALUE_TEXT } kind;
    double number;
    bool boolean;
    const char *text;
};

/* An option by its name, and a new value for it. */
struct param_setting {
    const char *name;
    struct param_value value;
};

/* Fills every field of the struct at `out` with its default. table may be NULL (no options). */
void param_defaults(const struct param *table, void *out);
/* Checks the rows of a table for a struct of `bytes`: name, type, place, choices, default, help. For
   tables of strangers: a wrong row makes the calls below write outside the struct. ERR_VERSION; the
   sentence begins with `owner`. */
int param_check(const struct param *table, size_t bytes, const char *owner, struct error *err);
/* The row with that name or old name; NULL if there is none. */
const struct param *param_find(const struct param *table, const char *name);
size_t param_count(const struct param *table);
/* Whether the table says that the option is gone; `text` is then what to do instead. */
bool param_gone(const struct param *table, const char *name, char text[PARAM_TEXT_BYTES]);
/* Sets one field. ERR_CONFIG: an unknown name (with "did you mean"), a wrong type, or a value out
   of range; `out` is then unchanged. The sentence names `owner`, such as `method "divf"`. Text is
   accepted for numbers and bools ("4", "true"), because the command line gives text. */
int param_set(const struct param *table, void *out, const char *name, struct param_value,
              const char *owner, struct error *);
/* Reads one field back, a choice as its name. The text of the result points into
   `out` or `scratch`. */
struct param_value param_get(const struct param *, const void *out, char scratch[PARAM_TEXT_BYTES]);
/* Whether param_set() would accept every field; for options read from a file. */
bool param_possible(const struct param *table, const void *out);
/* Describes an option in one line: "soft_k  int  1  1 .. 8  lists per vector ... (live)", with the
   paper's value if it is another. */
void param_describe(const struct param *, char *line, size_t line_bytes);

#ifdef __cplusplus
}
#endif
#endif
