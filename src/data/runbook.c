/* runbook.c - reads runbooks: YAML's document into steps. */
#include "src/data/runbook.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "src/core/append_text.h"
#include "src/core/mem.h"
#include "src/data/readers/bytes.h"

/* Larger ids are errors; sums of two such ids do not overflow. */
static const uint64_t MOST_ID = UINT64_C(1) << 48;

/* Each batch of batch_insert_delete becomes operations of its own. */
enum { KEY_BYTES = 128, MOST_BATCHES = 1000000 };

struct parser {
    yaml_document_t document;
    const char *name;
    const char *key; /* the pair that is being read */
    const yaml_node_t *value;
    size_t line;                /* of the key, from 1 */
    char where[KEY_BYTES + 32]; /* "dataset: step 3", "dataset" or "" */
    char datasets[400];         /* names of those in the file, for messages */
    struct error *err;
};

/* 1. Keys and values */

static int refuse(const struct parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int refuse(const struct parser *p, const char *format, ...)
{
    char what[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return fail(p->err, ERR_CORRUPT, "%s:%zu: %s%s%s", p->name, p->line, p->where,
                *p->where ? ": " : "", what);
}

/* A value as a string; NULL for a mapping, a list, or a string with a zero byte. */
static const char *text_of(const yaml_node_t *node)
{
    const char *text =
        node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
    return text && strlen(text) == node->data.scalar.length ? text : NULL;
}

/* Makes pair number *at of a mapping the one that is being read; false after the last one, and after
   an error, which is in *rc. */
static bool next_pair(struct parser *p, const yaml_node_t *mapping, size_t *at, int *rc)
{
    const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start + *at;
    if (*rc || pair == mapping->data.mapping.pairs.top)
        return false;
    const yaml_node_t *key = yaml_document_get_node(&p->document, pair->key);
    p->value = yaml_document_get_node(&p->document, pair->value);
    p->key = text_of(key);
    p->line = key->start_mark.line + 1;
    if (!p->key || strlen(p->key) >= KEY_BYTES)
        *rc = refuse(p, "expected a key of at most 127 bytes");
    ++*at;
    return !*rc;
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

static int number_value(struct parser *p, uint64_t *out)
{
    const char *text = text_of(p->value);
    if (text && parse_number(text, out))
        return OK;
    return refuse(p, "%s = \"%.40s\", expected a whole number from 0 to 2^48", p->key,
                  text ? text : "...");
}

static int unknown_key(struct parser *p, const char *const *known, size_t n)
{
    return refuse(p, "unknown key \"%.40s\"%s", p->key, error_hint(p->key, known, n).text);
}

/* 2. Steps */

enum {
    HAS_OPERATION = 1,
    HAS_START = 2,
    HAS_END = 4,
    HAS_TAGS_START = 8,
    HAS_TAGS_END = 16,
    HAS_IDS_START = 32,
    HAS_IDS_END = 64,
    HAS_BATCH = 128,
    HAS_RATE = 256,
    HAS_DELETED = 512,
    HAS_QUERIES = 1024
};

static const char *const step_keys[] = {
    "operation", "start",     "end",       "tags_start",          "tags_end",       "ids_start",
    "ids_end",   "batchSize", "eventRate", "deletion_percentage", "continuousQuery"
};
enum { STEP_KEYS = sizeof step_keys / sizeof step_keys[0] };

enum { HAS_RANGE = HAS_OPERATION | HAS_START | HAS_END, MAY_HAVE = HAS_RATE | HAS_QUERIES };
static const struct {
    const char *name;
    unsigned needed, optional; /* keys */
} operations[RUNBOOK_OPERATIONS] = {
    [RUNBOOK_INSERT] = { "insert", HAS_RANGE, 0 },
    [RUNBOOK_DELETE] = { "delete", HAS_RANGE, 0 },
    [RUNBOOK_SEARCH] = { "search", HAS_OPERATION, 0 }, /* and a range, which may be missing */
    [RUNBOOK_REPLACE] = { "replace",
                          HAS_OPERATION | HAS_TAGS_START | HAS_TAGS_END | HAS_IDS_START |
                              HAS_IDS_END,
                          0 },
    [RUNBOOK_INITIAL] = { "initial", HAS_RANGE, 0 },
    [RUNBOOK_BATCH_INSERT] = { "batch_insert", HAS_RANGE | HAS_BATCH, MAY_HAVE },
    [RUNBOOK_BATCH_INSERT_DELETE] = { "batch_insert_delete", HAS_RANGE | HAS_BATCH | HAS_DELETED,
                                      MAY_HAVE },
    [RUNBOOK_WAIT] = { "waitPending", HAS_OPERATION, 0 },
    [RUNBOOK_START] = { "startHPC", HAS_OPERATION, 0 },
    [RUNBOOK_END] = { "endHPC", HAS_OPERATION, 0 },
};

static int step_operation(struct parser *p, struct runbook_step *step)
{
    const char *text = text_of(p->value), *names[RUNBOOK_OPERATIONS];
    for (int o = 0; o < RUNBOOK_OPERATIONS; o++) {
        names[o] = operations[o].name;
        if (text && !strcmp(text, names[o])) {
            step->operation = (enum runbook_operation)o;
            return OK;
        }
    }
    return refuse(p, "unknown operation \"%.40s\"%s", text ? text : "...",
                  error_hint(text ? text : "", names, RUNBOOK_OPERATIONS).text);
}

static int real_value(struct parser *p, double most, double *out)
{
    const char *text = text_of(p->value);
    char *end = NULL;
    *out = text && *text ? strtod(text, &end) : NAN;
    if (end && !*end && *out > 0 && *out <= most)
        return OK;
    return refuse(p, "%s = \"%.40s\", expected a number above 0, up to %g", p->key,
                  text ? text : "...", most);
}

static int quiet_value(struct parser *p, bool *quiet)
{
    const char *text = text_of(p->value);
    *quiet = text && !strcasecmp(text, "false");
    if (*quiet || (text && !strcasecmp(text, "true")))
        return OK;
    return refuse(p, "%s = \"%.40s\", expected true or false", p->key, text ? text : "...");
}

static int step_key(struct parser *p, struct runbook_step *step, unsigned *seen)
{
    size_t key = 0;
    while (key < STEP_KEYS && strcmp(step_keys[key], p->key))
        key++;
    if (key == STEP_KEYS)
        return unknown_key(p, step_keys, STEP_KEYS);
    if (*seen & 1U << key)
        return refuse(p, "\"%s\" is given twice", p->key);
    *seen |= 1U << key;
    switch (1U << key) {
        case HAS_OPERATION: return step_operation(p, step);
        case HAS_START:
        case HAS_TAGS_START: return number_value(p, &step->start);
        case HAS_END:
        case HAS_TAGS_END: return number_value(p, &step->end);
        case HAS_IDS_START: return number_value(p, &step->ids_start);
        case HAS_IDS_END: return number_value(p, &step->ids_end);
        case HAS_BATCH: return number_value(p, &step->batch);
        case HAS_RATE: return real_value(p, 1e9, &step->rate);
        case HAS_DELETED: return real_value(p, 1, &step->deleted);
        default: return quiet_value(p, &step->quiet); /* HAS_QUERIES */
    }
}

static int check_step(struct parser *p, const struct runbook_step *s, unsigned seen)
{
    p->line = s->line;
    if (!(seen & HAS_OPERATION))
        return refuse(p, "\"operation\" is missing");
    unsigned wanted = operations[s->operation].needed;
    const unsigned optional = operations[s->operation].optional;
    const bool search = s->operation == RUNBOOK_SEARCH;
    if (search && seen & (HAS_START | HAS_END))
        wanted |= HAS_START | HAS_END;
    for (size_t key = 0; key < STEP_KEYS; key++)
        if ((seen ^ wanted) & ~optional & 1U << key)
            return refuse(p, "%s %s \"%s\"", operations[s->operation].name,
                          wanted & 1U << key ? "lacks" : "has no key", step_keys[key]);
    if (!(seen & (HAS_START | HAS_TAGS_START)))
        return OK;
    bool replace = s->operation == RUNBOOK_REPLACE;
    if (s->start >= s->end || (replace && s->ids_start >= s->ids_end))
        return refuse(p, "the range %" PRIu64 " to %" PRIu64 " is empty (the end is exclusive)",
                      s->start >= s->end ? s->start : s->ids_start,
                      s->start >= s->end ? s->end : s->ids_end);
    if (replace && s->end - s->start != s->ids_end - s->ids_start)
        return refuse(p, "%" PRIu64 " tags are to get %" PRIu64 " vectors", s->end - s->start,
                      s->ids_end - s->ids_start);
    if (seen & HAS_BATCH && (!s->batch || (s->end - s->start) / s->batch >= MOST_BATCHES))
        return refuse(p,
                      "%" PRIu64 " ids in batches of %" PRIu64
                      ", expected batches of 1 or more, and fewer than %d of them",
                      s->end - s->start, s->batch, MOST_BATCHES);
    return OK;
}

/* Reads the step whose number is the current key. */
static int read_step(struct parser *p, struct runbook *r, size_t *capacity, uint64_t number)
{
    const yaml_node_t *keys = p->value;
    snprintf(p->where, sizeof p->where, "%s: step %" PRIu64, r->dataset, number);
    if (keys->type != YAML_MAPPING_NODE)
        return refuse(p, "expected the step's keys, as operation: search");
    if (!mem_grow(NULL, &r->steps, capacity, r->n + 1, sizeof *r->steps))
        return fail(p->err, ERR_NO_MEMORY, "%s: out of memory", p->name);
    struct runbook_step step = { .number = number, .line = p->line };
    unsigned seen = 0;
    int rc = OK;
    for (size_t at = 0; next_pair(p, keys, &at, &rc);)
        rc = step_key(p, &step, &seen);
    if (rc)
        return rc;
    r->steps[r->n++] = step;
    rc = check_step(p, &step, seen);
    snprintf(p->where, sizeof p->where, "%s", r->dataset);
    return rc;
}

/* 3. Blocks */

static int block_key(struct parser *p, struct runbook *r, size_t *capacity)
{
    static const char *const known[] = { "max_pts", "gt_url" };
    uint64_t number;
    if (parse_number(p->key, &number))
        return read_step(p, r, capacity, number);
    if (!strcmp(p->key, "gt_url")) /* neighbours are computed */
        return OK;
    if (strcmp(p->key, "max_pts") != 0)
        return unknown_key(p, known, 2);
    if (r->max_pts)
        return refuse(p, "max_pts is given twice");
    const int rc = number_value(p, &r->max_pts);
    return rc || r->max_pts ? rc : refuse(p, "max_pts must be at least 1");
}

static int compare_steps(const void *a, const void *b)
{
    const struct runbook_step *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

/* Puts the steps in the order of their numbers: keys of YAML have no order. */
static int order_steps(struct parser *p, struct runbook *r)
{
    qsort(r->steps, r->n, sizeof *r->steps, compare_steps);
    uint64_t expected = r->steps[0].number ? 1 : 0;
    for (size_t i = 0; i < r->n; i++, expected++) {
        const struct runbook_step *s = &r->steps[i];
        p->line = s->line;
        if (i && s->number == s[-1].number)
            return refuse(p, "step %" PRIu64 " is given twice, first in line %zu", s->number,
                          s[-1].line);
        if (s->number != expected)
            return refuse(p,
                          "step %" PRIu64 ": step %" PRIu64
                          " is missing; steps are numbered from 0 or 1 without gaps",
                          s->number, expected);
    }
    return OK;
}

/* Reads the block whose dataset is the current key. */
static int read_block(struct parser *p, struct runbook *r)
{
    const size_t first_line = p->line;
    const yaml_node_t *keys = p->value;
    size_t capacity = 0;
    int rc = OK;
    if (!p->key[0] || keys->type != YAML_MAPPING_NODE)
        return refuse(p, "expected a dataset's name, then max_pts and the steps below it");
    snprintf(r->dataset, sizeof r->dataset, "%s", p->key);
    snprintf(p->where, sizeof p->where, "%s", p->key);
    for (size_t at = 0; next_pair(p, keys, &at, &rc);)
        rc = block_key(p, r, &capacity);
    if (rc)
        return rc;
    p->line = first_line;
    rc = !r->max_pts ? refuse(p, "max_pts is missing")
         : !r->n     ? refuse(p, "has no steps")
                     : order_steps(p, r);
    *p->where = '\0';
    return rc;
}

/* 4. What the steps need */

static bool inserts(const struct runbook_step *s)
{
    return s->operation == RUNBOOK_INSERT || s->operation == RUNBOOK_INITIAL ||
           s->operation == RUNBOOK_BATCH_INSERT || s->operation == RUNBOOK_BATCH_INSERT_DELETE;
}

/* One past the largest row that the step reads. */
static uint64_t last_row(const struct runbook_step *s)
{
    return s->operation == RUNBOOK_REPLACE ? s->ids_end : inserts(s) ? s->end : 0;
}

uint64_t runbook_first_deleted(const struct runbook_step *s, uint64_t first, uint64_t last)
{
    /* A product that is whole but for rounding is whole. */
    const uint64_t n = (uint64_t)ceil((double)s->batch * s->deleted * (1 - 1e-12));
    return n < last - first ? last - n : first;
}

/* How many points are live after a step, if those that it deletes were. */
static uint64_t points_after(const struct runbook_step *s, uint64_t points)
{
    uint64_t gone = s->operation == RUNBOOK_DELETE ? s->end - s->start : 0;
    for (uint64_t at = s->start, last; s->deleted > 0 && at < s->end; at = last) {
        last = s->end - at < s->batch ? s->end : at + s->batch;
        gone += last - runbook_first_deleted(s, at, last);
    }
    points += inserts(s) ? s->end - s->start : 0;
    return points > gone ? points - gone : 0;
}

static void sum_up(const char *name, struct runbook *r)
{
    const struct runbook_step *most = NULL; /* the first step with the most live points */
    uint64_t points = 0, max_pts = r->max_pts;
    for (size_t i = 0; i < r->n; i++) {
        const struct runbook_step *s = &r->steps[i];
        if (last_row(s) > r->rows_needed)
            r->rows_needed = last_row(s);
        if (s->operation == RUNBOOK_SEARCH && s->end > r->queries_needed)
            r->queries_needed = s->end;
        points = points_after(s, points);
        if (points > max_pts) {
            most = s;
            max_pts = points;
        }
    }
    if (most)
        snprintf(r->warning, sizeof r->warning,
                 "%.200s:%zu: %s: step %" PRIu64 ": %" PRIu64
                 " points are live, but max_pts is %" PRIu64 "; it is raised",
                 name, most->line, r->dataset, most->number, max_pts, r->max_pts);
    r->max_pts = max_pts;
}

/* 5. Files */

static int read_blocks(struct parser *p, const yaml_node_t *root, const char *dataset,
                       struct runbook *out)
{
    int rc = OK;
    for (size_t at = 0; next_pair(p, root, &at, &rc);) {
        struct runbook block = { .n = 0 };
        const bool other = dataset && strcmp(dataset, p->key) != 0;
        (void)snprintf(block.dataset, sizeof block.dataset, "%s", p->key);
        rc = other ? OK : read_block(p, &block);
        const bool wanted = !rc && !out->n && !other;
        if (!rc && out->n && !strcmp(out->dataset, block.dataset))
            rc = refuse(p, "%s: has two blocks", block.dataset);
        append_text(p->datasets, sizeof p->datasets, ", ", "%s", block.dataset);
        if (!rc && wanted) {
            sum_up(p->name, &block);
            *out = block;
        } else {
            runbook_close(&block);
        }
    }
    return rc;
}

/* An empty document after the last one. */
static int load(struct parser *p, yaml_parser_t *y, yaml_document_t *document)
{
    if (yaml_parser_load(y, document))
        return OK;
    if (y->error == YAML_MEMORY_ERROR)
        return fail(p->err, ERR_NO_MEMORY, "%s: out of memory", p->name);
    p->line = (y->error == YAML_READER_ERROR ? y->mark.line : y->problem_mark.line) + 1;
    return refuse(p, "not YAML: %s%s%s", y->context ? y->context : "", y->context ? ": " : "",
                  y->problem ? y->problem : "it cannot be read");
}

/* A file is one document, which is a mapping. */
static int read_document(struct parser *p, yaml_parser_t *yaml, const char *dataset,
                         struct runbook *out)
{
    yaml_document_t second;
    int rc = load(p, yaml, &p->document);
    const yaml_node_t *root = rc ? NULL : yaml_document_get_root_node(&p->document);
    if (!rc && (!root || root->type != YAML_MAPPING_NODE))
        rc = refuse(p, "holds no runbook");
    if (!rc)
        rc = read_blocks(p, root, dataset, out);
    if (rc || (rc = load(p, yaml, &second)))
        return rc;
    if (yaml_document_get_root_node(&second))
        rc = refuse(p, "a second document; a file holds one");
    yaml_document_delete(&second);
    return rc;
}

int runbook_parse(const char *name, const char *text, size_t bytes, const char *dataset,
                  struct runbook *out, struct error *err)
{
    struct parser p = { .name = name, .line = 1, .err = err };
    yaml_parser_t yaml;
    *out = (struct runbook){ .n = 0 };
    if (!yaml_parser_initialize(&yaml))
        return fail(err, ERR_NO_MEMORY, "%s: out of memory", name);
    yaml_parser_set_encoding(&yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&yaml, (const unsigned char *)text, bytes);
    int rc = read_document(&p, &yaml, dataset, out);
    yaml_document_delete(&p.document);
    yaml_parser_delete(&yaml);
    if (!rc && !out->n)
        rc = fail(err, ERR_NOT_FOUND, "%s: has no runbook for \"%s\"; it has %s", name, dataset,
                  p.datasets);
    if (rc)
        runbook_close(out);
    return rc;
}

int runbook_open(const char *path, const char *dataset, struct runbook *out, struct error *err)
{
    struct bytes b;
    *out = (struct runbook){ .n = 0 };
    int rc = bytes_open(&b, path, NULL, 0, err);
    if (rc)
        return rc;
    rc = runbook_parse(path, (const char *)b.at, b.size, dataset, out, err);
    bytes_close(&b);
    return rc;
}

void runbook_close(struct runbook *r)
{
    mem_free(NULL, r->steps);
    *r = (struct runbook){ .n = 0 };
}
