/* param.c - reads, checks and describes the rows of option tables. */
#include "src/core/param.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/core/append_text.h"

/* The most names compared for a hint: options of one table, or choices of one option. */
#define NAMES_MAX 128

static void *field(const struct param *p, void *out)
{
    return (char *)out + p->offset;
}

static void store_number(const struct param *p, void *out, double value)
{
    const int64_t whole = (int64_t)value;
    const bool boolean = value != 0;
    assert(p->type != PARAM_TYPE_TEXT);
    switch (p->type) {
        case PARAM_TYPE_INT:
        case PARAM_TYPE_CHOICE: memcpy(field(p, out), &whole, sizeof whole); break;
        case PARAM_TYPE_REAL: memcpy(field(p, out), &value, sizeof value); break;
        case PARAM_TYPE_BOOL: memcpy(field(p, out), &boolean, sizeof boolean); break;
        case PARAM_TYPE_TEXT: break;
    }
}

/* The text fits, or the caller has checked its length. */
static void store_text(const struct param *p, void *out, const char *text)
{
    char *to = field(p, out);
    memset(to, 0, PARAM_TEXT_BYTES);
    memcpy(to, text, strnlen(text, PARAM_TEXT_BYTES - 1));
}

void param_defaults(const struct param *table, void *out)
{
    for (const struct param *p = table; p && p->name; p++) {
        if (p->type == PARAM_TYPE_TEXT)
            store_text(p, out, p->text ? p->text : "");
        else
            store_number(p, out, p->def);
    }
}

const struct param *param_find(const struct param *table, const char *name)
{
    for (const struct param *p = table; p && p->name; p++)
        if (strcmp(p->name, name) == 0 || (p->old_name && strcmp(p->old_name, name) == 0))
            return p;
    return NULL;
}

size_t param_count(const struct param *table)
{
    size_t n = 0;
    while (table && table[n].name)
        n++;
    return n;
}

/* Copies the i-th choice of a list such as "ram|mmap" to name. Returns false past the end. */
static bool choice_at(const char *choices, size_t i, char name[PARAM_TEXT_BYTES])
{
    for (; i > 0; i--) {
        choices = strchr(choices, '|');
        if (!choices)
            return false;
        choices++;
    }
    size_t length = strcspn(choices, "|");
    if (length > PARAM_TEXT_BYTES - 1)
        length = PARAM_TEXT_BYTES - 1;
    memcpy(name, choices, length);
    name[length] = '\0';
    return true;
}

/* Copies what a list such as "old=new|older=new" has for the name. */
static bool pair_named(const char *pairs, const char *name, char text[PARAM_TEXT_BYTES])
{
    char pair[PARAM_TEXT_BYTES];
    const size_t length = strlen(name);
    for (size_t i = 0; pairs && choice_at(pairs, i, pair); i++) {
        if (strncmp(pair, name, length) == 0 && pair[length] == '=') {
            memcpy(text, pair + length + 1, sizeof pair - length - 1);
            return true;
        }
    }
    return false;
}

bool param_gone(const struct param *table, const char *name, char text[PARAM_TEXT_BYTES])
{
    return table && pair_named(table[param_count(table)].old_choices, name, text);
}

static int fail_unknown(const struct param *table, const char *name, const char *owner,
                        struct error *err)
{
    const char *names[NAMES_MAX] = { NULL };
    char gone[PARAM_TEXT_BYTES];
    size_t n = 0;
    if (param_gone(table, name, gone))
        return fail(err, ERR_CONFIG, "%s no longer has \"%s\": %s", owner, name, gone);
    for (const struct param *p = table; p && p->name && n < NAMES_MAX; p++)
        names[n++] = p->name;
    const struct hint_text hint = error_hint(name, names, n);
    if (*hint.text)
        return fail(err, ERR_CONFIG, "%s has no parameter \"%s\"%s", owner, name, hint.text);
    if (n == 0)
        return fail(err, ERR_CONFIG, "%s has no parameter \"%s\"; it has none at all", owner, name);
    char list[512] = "";
    for (size_t i = 0; i < n; i++)
        append_text(list, sizeof list, ", ", "%s", names[i]);
    return fail(err, ERR_CONFIG, "%s has no parameter \"%s\"; it has: %s", owner, name, list);
}

/* Formats a value as the user wrote it. */
static const char *shown(struct param_value v, char *text, size_t bytes)
{
    switch (v.kind) {
        case VALUE_NUMBER: (void)snprintf(text, bytes, "%.15g", v.number); break;
        case VALUE_BOOL: (void)snprintf(text, bytes, "%s", v.boolean ? "true" : "false"); break;
        case VALUE_TEXT: (void)snprintf(text, bytes, "\"%s\"", v.text); break;
    }
    return text;
}

/* The functions below return whether they accept the value and store it; `wanted` then says what the
   option must be. */
enum { WANTED_BYTES = PARAM_TEXT_BYTES + 16 };

/* Parses a text that is one number and nothing else; blanks around it are allowed. */
static bool number_in(const char *text, double *number)
{
    char *end;
    errno = 0;
    *number = strtod(text, &end);
    if (end == text || errno == ERANGE)
        return false;
    while (isspace((unsigned char)*end))
        end++;
    return *end == '\0';
}

static bool set_number(const struct param *p, void *out, struct param_value v,
                       char wanted[WANTED_BYTES])
{
    const bool whole = p->type == PARAM_TYPE_INT;
    double number = v.number;
    (void)snprintf(wanted, WANTED_BYTES, whole ? "a whole number" : "a number");
    if (v.kind == VALUE_BOOL || (v.kind == VALUE_TEXT && !number_in(v.text, &number)))
        return false;
    if (isnan(number) || (whole && number != nearbyint(number)))
        return false;
    (void)snprintf(wanted, WANTED_BYTES, "%.15g .. %.15g", p->min, p->max);
    if (number < p->min || number > p->max)
        return false;
    /* 2^63 does not fit an int64_t. A table with such a bound would be a bug in Driftline. */
    assert(!whole || fabs(number) < 0x1p63);
    store_number(p, out, number);
    return true;
}

static bool set_bool(const struct param *p, void *out, struct param_value v,
                     char wanted[WANTED_BYTES])
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
    const size_t n = v.kind == VALUE_TEXT ? sizeof words / sizeof *words : 0;
    (void)snprintf(wanted, WANTED_BYTES, "true or false");
    if (v.kind == VALUE_BOOL)
        store_number(p, out, v.boolean);
    for (size_t i = 0; i < n; i++)
        if (strcmp(v.text, words[i]) == 0) {
            store_number(p, out, (double)(i % 2));
            return true;
        }
    return v.kind == VALUE_BOOL;
}

/* Finds the index of the choice with that name. */
static bool choice_named(const struct param *p, const char *wanted, size_t *index)
{
    char name[PARAM_TEXT_BYTES];
    for (*index = 0; choice_at(p->choices, *index, name); ++*index)
        if (strcmp(name, wanted) == 0)
            return true;
    return false;
}

/* Takes the old name of a choice, too. hint: the choice that was meant. */
static bool set_choice(const struct param *p, void *out, struct param_value v,
                       char wanted[WANTED_BYTES], struct hint_text *hint)
{
    char name[PARAM_TEXT_BYTES];
    size_t index;
    if (v.kind == VALUE_TEXT &&
        (choice_named(p, v.text, &index) ||
         (pair_named(p->old_choices, v.text, name) && choice_named(p, name, &index)))) {
        store_number(p, out, (double)index);
        return true;
    }
    (void)snprintf(wanted, WANTED_BYTES, "one of ");
    for (size_t i = 0; choice_at(p->choices, i, name); i++) {
        append_text(wanted, WANTED_BYTES, i ? ", " : "", "\"%.60s\"", name);
        const char *const one = name;
        if (v.kind == VALUE_TEXT && !*hint->text)
            *hint = error_hint(v.text, &one, 1);
    }
    return false;
}

int param_set(const struct param *table, void *out, const char *name, struct param_value value,
              const char *owner, struct error *err)
{
    const struct param *p = param_find(table, name);
    char wanted[WANTED_BYTES] = "a string", given[128];
    struct hint_text hint = { "" };
    bool set = false;
    if (!p)
        return fail_unknown(table, name, owner, err);
    switch (p->type) {
        case PARAM_TYPE_INT:
        case PARAM_TYPE_REAL: set = set_number(p, out, value, wanted); break;
        case PARAM_TYPE_BOOL: set = set_bool(p, out, value, wanted); break;
        case PARAM_TYPE_CHOICE: set = set_choice(p, out, value, wanted, &hint); break;
        case PARAM_TYPE_TEXT:
            set = value.kind == VALUE_TEXT;
            if (set && strlen(value.text) >= PARAM_TEXT_BYTES)
                return fail(err, ERR_CONFIG, "%s: \"%s\" is %zu bytes long; at most %d fit", owner,
                            p->name, strlen(value.text), PARAM_TEXT_BYTES - 1);
            if (set)
                store_text(p, out, value.text);
            break;
    }
    return set ? OK
               : fail(err, ERR_CONFIG, "%s: \"%s\" must be %s, not %s%s", owner, p->name, wanted,
                      shown(value, given, sizeof given), hint.text);
}

struct param_value param_get(const struct param *p, const void *out, char scratch[PARAM_TEXT_BYTES])
{
    const char *at = (const char *)out + p->offset;
    struct param_value v = { .kind = VALUE_NUMBER };
    int64_t whole;
    switch (p->type) {
        case PARAM_TYPE_INT:
            memcpy(&whole, at, sizeof whole);
            v.number = (double)whole;
            break;
        case PARAM_TYPE_REAL: memcpy(&v.number, at, sizeof v.number); break;
        case PARAM_TYPE_BOOL:
            v.kind = VALUE_BOOL;
            memcpy(&v.boolean, at, sizeof v.boolean);
            break;
        case PARAM_TYPE_CHOICE:
            memcpy(&whole, at, sizeof whole);
            v.kind = VALUE_TEXT;
            v.text = whole >= 0 && choice_at(p->choices, (size_t)whole, scratch) ? scratch : "?";
            break;
        case PARAM_TYPE_TEXT:
            v.kind = VALUE_TEXT;
            v.text = at;
            break;
    }
    return v;
}

void param_describe(const struct param *p, char *line, size_t bytes)
{
    char name[PARAM_TEXT_BYTES];
    switch (p->type) {
        case PARAM_TYPE_INT:
        case PARAM_TYPE_REAL:
            (void)snprintf(line, bytes, "%s  %s  %.15g  %.15g .. %.15g  %s", p->name,
                           p->type == PARAM_TYPE_INT ? "int" : "real", p->def, p->min, p->max,
                           p->help);
            break;
        case PARAM_TYPE_BOOL:
            (void)snprintf(line, bytes, "%s  bool  %s  true, false  %s", p->name,
                           p->def != 0 ? "true" : "false", p->help);
            break;
        case PARAM_TYPE_CHOICE:
            if (!choice_at(p->choices, (size_t)p->def, name))
                name[0] = '\0';
            (void)snprintf(line, bytes, "%s  choice  %s  %s  %s", p->name, name, p->choices,
                           p->help);
            break;
        case PARAM_TYPE_TEXT:
            (void)snprintf(line, bytes, "%s  text  \"%s\"  at most %d bytes  %s", p->name,
                           p->text ? p->text : "", PARAM_TEXT_BYTES - 1, p->help);
            break;
    }
    append_text(line, bytes, "", "%s%s%s", p->live ? " (live)" : "",
                p->paper ? "; the paper: " : "", p->paper ? p->paper : "");
}

static bool field_possible(const struct param *p, const void *out)
{
    const char *at = (const char *)out + p->offset;
    char name[PARAM_TEXT_BYTES];
    int64_t whole = 0;
    switch (p->type) {
        case PARAM_TYPE_INT:
        case PARAM_TYPE_REAL: {
            const double number = param_get(p, out, name).number;
            return number >= p->min && number <= p->max; /* false for NaN */
        }
        case PARAM_TYPE_BOOL: return *(const unsigned char *)at <= 1;
        case PARAM_TYPE_CHOICE:
            memcpy(&whole, at, sizeof whole);
            return whole >= 0 && choice_at(p->choices, (size_t)whole, name);
        case PARAM_TYPE_TEXT: return memchr(at, 0, PARAM_TEXT_BYTES) != NULL;
    }
    return false;
}

/* Bytes of an option's field; 0: there is no such type. */
static size_t field_bytes(const struct param *p)
{
    switch (p->type) {
        case PARAM_TYPE_INT:
        case PARAM_TYPE_CHOICE: return sizeof(int64_t);
        case PARAM_TYPE_REAL: return sizeof(double);
        case PARAM_TYPE_BOOL: return sizeof(bool);
        case PARAM_TYPE_TEXT: return PARAM_TEXT_BYTES;
    }
    return 0;
}

/* What is wrong with a row; NULL: nothing. */
static const char *row_fault(const struct param *table, const struct param *p, size_t bytes)
{
    char name[PARAM_TEXT_BYTES];
    const size_t needed = field_bytes(p);
    if (!*p->name || strlen(p->name) >= PARAM_TEXT_BYTES)
        return "its name is empty or too long";
    if (param_find(table, p->name) != p)
        return "another option has the same name";
    if (needed == 0)
        return "its type is none of enum param_type";
    if (bytes < needed || p->offset > bytes - needed)
        return "its field is not within the struct, whose size .params_bytes or .knobs_bytes "
               "states";
    if (!p->help)
        return "it has no help";
    if (p->type == PARAM_TYPE_CHOICE &&
        (!p->choices || !(p->def >= 0) || !choice_at(p->choices, (size_t)p->def, name)))
        return "its default is none of its choices";
    if ((p->type == PARAM_TYPE_INT || p->type == PARAM_TYPE_REAL) &&
        !(p->def >= p->min && p->def <= p->max))
        return "its default is out of its range";
    return NULL;
}

/* access() fails with EFAULT, without a crash, where there is no memory. */
static bool is_readable(const char *text)
{
    return access(text, F_OK) == 0 || errno != EFAULT;
}

int param_check(const struct param *table, size_t bytes, const char *owner, struct error *err)
{
    for (const struct param *p = table; p && p->name; p++) {
        /* Without its end the table goes on into other data. */
        if (!is_readable(p->name))
            return fail(err, ERR_VERSION,
                        "%s: row %zu of its table of options has no name; does the table end with "
                        "PARAM_END?",
                        owner, (size_t)(p - table) + 1);
        const char *fault = row_fault(table, p, bytes);
        if (fault)
            return fail(err, ERR_VERSION, "%s: option \"%.60s\" of its table: %s", owner, p->name,
                        fault);
    }
    return OK;
}

bool param_possible(const struct param *table, const void *out)
{
    for (const struct param *p = table; p && p->name; p++)
        if (!field_possible(p, out))
            return false;
    return true;
}
