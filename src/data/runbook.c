/* runbook.c - reading runbooks: lines, then blocks and steps, then whether the steps make sense. */
#include "runbook.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "src/core/mem.h"

/* Ids above this are damage, and sums of two stay far from overflow. */
static const uint64_t MOST_ID = UINT64_C(1) << 48;

enum { KEY_BYTES = 128, VALUE_BYTES = 512 };

struct parser {
    const char *name, *at, *end;
    size_t line;
    struct error *err;
    /* of the current line */
    size_t indent;
    char key[KEY_BYTES], value[VALUE_BYTES];
    bool have_line;
};

/* 1. Lines */

static int refuse(struct parser *p, const char *what)
{
    return fail(p->err, ERR_CORRUPT, "%s:%zu: %s", p->name, p->line, what);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Copies a scalar, its quotes taken off, up to `stop`; returns where it ended or NULL. */
static const char *take_scalar(const char *at, const char *end, char stop, char *out,
                               size_t out_bytes)
{
    size_t n = 0;
    char quote = at < end && (*at == '"' || *at == '\'') ? *at++ : 0;
    for (; at < end; at++) {
        if (quote ? *at == quote : *at == stop || (*at == '#' && n && is_space(at[-1])))
            break;
        if (n + 1 >= out_bytes || !*at)
            return NULL;
        out[n++] = *at;
    }
    if (quote && at++ >= end)
        return NULL;
    while (!quote && n && is_space(out[n - 1]))
        n--;
    out[n] = 0;
    while (at < end && is_space(*at))
        at++;
    return at;
}

static bool only_comment(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    return at == end || *at == '#';
}

/* The next line that says something; have_line is false at the end. */
static int next_line(struct parser *p)
{
    p->have_line = false;
    while (p->at < p->end) {
        const char *newline = memchr(p->at, '\n', (size_t)(p->end - p->at)), *at = p->at;
        const char *end = newline ? newline : p->end;
        p->at = newline ? newline + 1 : p->end;
        p->line++;
        if (only_comment(at, end))
            continue;
        p->indent = 0;
        while (at < end && *at == ' ')
            at++, p->indent++;
        if (at < end && *at == '\t')
            return refuse(p, "a tab in the indentation; use blanks");
        at = take_scalar(at, end, ':', p->key, sizeof p->key);
        if (!at || at == end || *at != ':')
            return refuse(p, "expected \"key: value\"");
        at++;
        while (at < end && is_space(*at))
            at++;
        at = take_scalar(at, end, '\n', p->value, sizeof p->value);
        if (!at || !only_comment(at, end))
            return refuse(p, "the value cannot be read; it may be too long or lack a quote");
        if (p->value[0] == '#')
            p->value[0] = 0;
        p->have_line = true;
        return OK;
    }
    return OK;
}

static bool parse_number(const char *text, uint64_t *out)
{
    *out = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        *out = *out * 10 + (uint64_t)(*text - '0');
        if (*out > MOST_ID)
            return false;
    }
    return true;
}

static int number_value(struct parser *p, const char *where, uint64_t *out)
{
    if (parse_number(p->value, out))
        return OK;
    return fail(p->err, ERR_CORRUPT,
                "%s:%zu: %s: %s = \"%.40s\", expected a whole number from 0 to 2^48", p->name,
                p->line, where, p->key, p->value);
}

static int unknown_key(struct parser *p, const char *where, const char *const *known, size_t n)
{
    const char *near = error_near(p->key, known, n);
    return fail(p->err, ERR_CORRUPT, "%s:%zu: %s: unknown key \"%.40s\"%s%s%s", p->name, p->line,
                where, p->key, near ? "; did you mean \"" : "", near ? near : "",
                near ? "\"?" : "");
}

/* 2. Steps */

enum {
    HAS_OPERATION = 1,
    HAS_START = 2,
    HAS_END = 4,
    HAS_TAGS_START = 8,
    HAS_TAGS_END = 16,
    HAS_IDS_START = 32,
    HAS_IDS_END = 64
};

static const char *const step_keys[] = { "operation", "start",     "end",    "tags_start",
                                         "tags_end",  "ids_start", "ids_end" };
enum { STEP_KEYS = sizeof step_keys / sizeof step_keys[0] };

static const char *const operation_names[] = { "insert", "delete", "search", "replace" };
static const unsigned operation_keys[] = {
    HAS_OPERATION | HAS_START | HAS_END,
    HAS_OPERATION | HAS_START | HAS_END,
    HAS_OPERATION,
    HAS_OPERATION | HAS_TAGS_START | HAS_TAGS_END | HAS_IDS_START | HAS_IDS_END,
};

static int step_operation(struct parser *p, const char *where, struct runbook_step *step)
{
    for (int o = 0; o < 4; o++)
        if (!strcmp(p->value, operation_names[o])) {
            step->operation = (enum runbook_operation)o;
            return OK;
        }
    const char *near = error_near(p->value, operation_names, 4);
    return fail(p->err, ERR_CORRUPT, "%s:%zu: %s: unknown operation \"%.40s\"%s%s%s", p->name,
                p->line, where, p->value, near ? "; did you mean \"" : "", near ? near : "",
                near ? "\"?" : "");
}

static int step_line(struct parser *p, const char *where, struct runbook_step *step, unsigned *seen)
{
    size_t key = 0;
    while (key < STEP_KEYS && strcmp(step_keys[key], p->key))
        key++;
    if (key == STEP_KEYS)
        return unknown_key(p, where, step_keys, STEP_KEYS);
    if (*seen & 1U << key)
        return fail(p->err, ERR_CORRUPT, "%s:%zu: %s: \"%s\" is given twice", p->name, p->line,
                    where, p->key);
    *seen |= 1U << key;
    if (!key)
        return step_operation(p, where, step);
    uint64_t value = 0;
    int rc = number_value(p, where, &value);
    if (key == 1 || key == 3)
        step->start = value;
    if (key == 2 || key == 4)
        step->end = value;
    if (key == 5)
        step->ids_start = value;
    if (key == 6)
        step->ids_end = value;
    return rc;
}

static int check_step(struct parser *p, const char *where, const struct runbook_step *s,
                      unsigned seen)
{
    if (!(seen & HAS_OPERATION))
        return fail(p->err, ERR_CORRUPT, "%s:%zu: %s: \"operation\" is missing", p->name, s->line,
                    where);
    unsigned wanted = operation_keys[s->operation];
    for (size_t key = 0; key < STEP_KEYS; key++)
        if ((seen ^ wanted) & 1U << key)
            return fail(p->err, ERR_CORRUPT, "%s:%zu: %s: %s %s \"%s\"", p->name, s->line, where,
                        operation_names[s->operation], wanted & 1U << key ? "lacks" : "has no key",
                        step_keys[key]);
    if (s->operation == RUNBOOK_SEARCH)
        return OK;
    bool replace = s->operation == RUNBOOK_REPLACE;
    if (s->start >= s->end || (replace && s->ids_start >= s->ids_end))
        return fail(p->err, ERR_CORRUPT,
                    "%s:%zu: %s: the range %" PRIu64 " to %" PRIu64
                    " is empty (the end is exclusive)",
                    p->name, s->line, where, s->start >= s->end ? s->start : s->ids_start,
                    s->start >= s->end ? s->end : s->ids_end);
    if (replace && s->end - s->start != s->ids_end - s->ids_start)
        return fail(p->err, ERR_CORRUPT,
                    "%s:%zu: %s: %" PRIu64 " tags are to get %" PRIu64 " vectors", p->name, s->line,
                    where, s->end - s->start, s->ids_end - s->ids_start);
    return OK;
}

static int read_step(struct parser *p, struct runbook *r, size_t *capacity, uint64_t number)
{
    char where[KEY_BYTES + 32];
    snprintf(where, sizeof where, "%s: step %" PRIu64, r->dataset, number);
    uint64_t expected = r->n ? r->steps[r->n - 1].number + 1 : number > 1 ? 1 : number;
    if (number != expected)
        return fail(p->err, ERR_CORRUPT,
                    "%s:%zu: %s: step %" PRIu64
                    " was expected; steps are numbered from 0 or 1 without gaps",
                    p->name, p->line, where, expected);
    if (p->value[0])
        return fail(p->err, ERR_CORRUPT, "%s:%zu: %s: a step's keys go on lines of their own",
                    p->name, p->line, where);
    if (!mem_grow(NULL, &r->steps, capacity, r->n + 1, sizeof *r->steps))
        return fail(p->err, ERR_NO_MEMORY, "%s: out of memory", p->name);
    struct runbook_step step = { .number = number, .line = p->line };
    size_t outer = p->indent, inner = 0;
    unsigned seen = 0;
    int rc;
    while (!(rc = next_line(p)) && p->have_line && p->indent > outer) {
        if (inner && p->indent != inner)
            return refuse(p, "the indentation differs from the lines above");
        inner = p->indent;
        rc = step_line(p, where, &step, &seen);
        if (rc)
            return rc;
    }
    if (rc)
        return rc;
    r->steps[r->n++] = step;
    return check_step(p, where, &step, seen);
}

/* 3. Blocks */

static int block_line(struct parser *p, struct runbook *r, size_t *capacity)
{
    static const char *const known[] = { "max_pts", "gt_url" };
    uint64_t number;
    if (parse_number(p->key, &number))
        return read_step(p, r, capacity, number);
    int rc = OK;
    if (!strcmp(p->key, "max_pts")) {
        if (r->max_pts)
            return refuse(p, "max_pts is given twice");
        rc = number_value(p, r->dataset, &r->max_pts);
        if (!rc && !r->max_pts)
            rc = refuse(p, "max_pts must be at least 1");
    } else if (!strcmp(p->key, "gt_url")) {
        if (r->gt_url[0])
            return refuse(p, "gt_url is given twice");
        snprintf(r->gt_url, sizeof r->gt_url, "%s", p->value);
    } else {
        return unknown_key(p, r->dataset, known, 2);
    }
    return rc ? rc : next_line(p);
}

static int read_block(struct parser *p, struct runbook *r)
{
    size_t capacity = 0, inner = 0, first_line = p->line;
    if (p->indent || !p->key[0] || p->value[0])
        return refuse(p, "expected a dataset's name and a colon at the line's beginning");
    snprintf(r->dataset, sizeof r->dataset, "%s", p->key);
    int rc = next_line(p);
    while (!rc && p->have_line && p->indent) {
        if (inner && p->indent != inner)
            return refuse(p, "the indentation differs from the lines above");
        inner = p->indent;
        rc = block_line(p, r, &capacity);
    }
    if (rc)
        return rc;
    if (!r->max_pts)
        return fail(p->err, ERR_CORRUPT, "%s:%zu: %s: max_pts is missing", p->name, first_line,
                    r->dataset);
    if (!r->n)
        return fail(p->err, ERR_CORRUPT, "%s:%zu: %s: has no steps", p->name, first_line,
                    r->dataset);
    return OK;
}

/* 4. Sense: which tags are live, as disjoint ascending ranges */

struct range {
    uint64_t start, end;
};

struct live {
    struct range *ranges;
    size_t n, capacity;
    uint64_t points;
};

/* The first range that ends after tag. */
static size_t first_past(const struct live *l, uint64_t tag)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (l->ranges[middle].end > tag)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool touches(const struct live *l, uint64_t start, uint64_t end)
{
    size_t i = first_past(l, start);
    return i < l->n && l->ranges[i].start < end;
}

static bool covers(const struct live *l, uint64_t start, uint64_t end)
{
    for (size_t i = first_past(l, start); i < l->n && l->ranges[i].start <= start; i++) {
        if (l->ranges[i].end >= end)
            return true;
        start = l->ranges[i].end;
    }
    return false;
}

/* Ranges that touch stay apart: covers() walks over the seam. */
static bool add_range(struct live *l, uint64_t start, uint64_t end)
{
    if (!mem_grow(NULL, &l->ranges, &l->capacity, l->n + 1, sizeof *l->ranges))
        return false;
    size_t i = first_past(l, start);
    memmove(l->ranges + i + 1, l->ranges + i, (l->n - i) * sizeof *l->ranges);
    l->ranges[i] = (struct range){ start, end };
    l->n++;
    l->points += end - start;
    return true;
}

static bool remove_range(struct live *l, uint64_t start, uint64_t end)
{
    size_t i = first_past(l, start), last = i;
    while (last < l->n && l->ranges[last].start < end)
        last++;
    struct range head = { l->ranges[i].start, start }, tail = { end, l->ranges[last - 1].end };
    memmove(l->ranges + i, l->ranges + last, (l->n - last) * sizeof *l->ranges);
    l->n -= last - i;
    l->points -= end - start;
    bool ok = true;
    uint64_t points = l->points;
    if (head.start < head.end)
        ok = add_range(l, head.start, head.end);
    if (tail.start < tail.end)
        ok = ok && add_range(l, tail.start, tail.end);
    l->points = points;
    return ok;
}

static int apply_step(const char *name, const struct runbook *r, const struct runbook_step *s,
                      struct live *l, uint64_t rows, struct error *err)
{
    uint64_t last = s->operation == RUNBOOK_REPLACE  ? s->ids_end
                    : s->operation == RUNBOOK_INSERT ? s->end
                                                     : 0;
    const char *what = operation_names[s->operation];
    if (s->operation == RUNBOOK_SEARCH)
        return OK;
    if (rows && last > rows)
        return fail(err, ERR_CORRUPT,
                    "%s:%zu: %s: step %" PRIu64 ": %s up to id %" PRIu64 " passes the %" PRIu64
                    " rows of the data",
                    name, s->line, r->dataset, s->number, what, last, rows);
    if (s->operation == RUNBOOK_INSERT && touches(l, s->start, s->end))
        return fail(err, ERR_CORRUPT,
                    "%s:%zu: %s: step %" PRIu64 ": some of %" PRIu64 " to %" PRIu64
                    " are live already",
                    name, s->line, r->dataset, s->number, s->start, s->end);
    if (s->operation != RUNBOOK_INSERT && !covers(l, s->start, s->end))
        return fail(err, ERR_CORRUPT,
                    "%s:%zu: %s: step %" PRIu64 ": %s: some of %" PRIu64 " to %" PRIu64
                    " are not live",
                    name, s->line, r->dataset, s->number, what, s->start, s->end);
    bool ok = s->operation == RUNBOOK_INSERT   ? add_range(l, s->start, s->end)
              : s->operation == RUNBOOK_DELETE ? remove_range(l, s->start, s->end)
                                               : true;
    if (!ok)
        return fail(err, ERR_NO_MEMORY, "%s: out of memory", name);
    if (l->points > r->max_pts)
        return fail(err, ERR_CORRUPT,
                    "%s:%zu: %s: step %" PRIu64 ": %" PRIu64
                    " points are live, max_pts is %" PRIu64,
                    name, s->line, r->dataset, s->number, l->points, r->max_pts);
    return OK;
}

static int check_sense(const char *name, struct runbook *r, uint64_t rows, struct error *err)
{
    struct live live = { 0 };
    int rc = OK;
    for (size_t i = 0; !rc && i < r->n; i++) {
        const struct runbook_step *s = &r->steps[i];
        uint64_t last = s->operation == RUNBOOK_REPLACE  ? s->ids_end
                        : s->operation == RUNBOOK_INSERT ? s->end
                                                         : 0;
        if (last > r->rows_needed)
            r->rows_needed = last;
        rc = apply_step(name, r, s, &live, rows, err);
    }
    mem_free(NULL, live.ranges);
    return rc;
}

/* 5. Files */

struct names {
    char text[400];
};

static int read_blocks(struct parser *p, const char *dataset, uint64_t rows, struct runbook *out,
                       struct names *names)
{
    int rc = next_line(p);
    if (!rc && !p->have_line)
        return refuse(p, "holds no runbook");
    while (!rc && p->have_line) {
        struct runbook block = { .n = 0 };
        rc = read_block(p, &block);
        bool wanted = !rc && !out->n && (!dataset || !strcmp(dataset, block.dataset));
        if (!rc && out->n && !strcmp(out->dataset, block.dataset))
            rc = fail(p->err, ERR_CORRUPT, "%s: %s: has two blocks", p->name, block.dataset);
        if (!rc)
            rc = check_sense(p->name, &block, wanted ? rows : 0, p->err);
        size_t used = strlen(names->text);
        snprintf(names->text + used, sizeof names->text - used, "%s%s", used ? ", " : "",
                 block.dataset);
        if (!rc && wanted)
            *out = block;
        else
            runbook_close(&block);
    }
    return rc;
}

int runbook_parse(const char *name, const char *text, size_t bytes, const char *dataset,
                  uint64_t rows, struct runbook *out, struct error *err)
{
    struct parser p = { .name = name, .at = text, .end = text + bytes, .err = err };
    struct names names = { "" };
    *out = (struct runbook){ .n = 0 };
    int rc = read_blocks(&p, dataset, rows, out, &names);
    if (!rc && !out->n)
        rc = fail(err, ERR_NOT_FOUND, "%s: has no runbook for \"%s\"; it has %s", name, dataset,
                  names.text);
    if (rc)
        runbook_close(out);
    return rc;
}

int runbook_open(const char *path, const char *dataset, uint64_t rows, struct runbook *out,
                 struct error *err)
{
    struct bytes b;
    *out = (struct runbook){ .n = 0 };
    int rc = bytes_open(&b, path, NULL, 0, err);
    if (rc)
        return rc;
    rc = runbook_parse(path, (const char *)b.at, b.size, dataset, rows, out, err);
    bytes_close(&b);
    return rc;
}

void runbook_close(struct runbook *r)
{
    mem_free(NULL, r->steps);
    *r = (struct runbook){ .n = 0 };
}
