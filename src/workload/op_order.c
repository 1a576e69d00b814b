/* op_order.c - see op_order.h. */
#include "src/workload/op_order.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/core/mem.h"

/* 1. Writing */

uint64_t op_order_which(const struct op *op, const struct op_planned *p)
{
    switch (p->kind) {
        case MIX_SEARCH: return p->query;
        case MIX_DELETE: return op->removes[p->change - (op->n - op->n_pairs)];
        default: return p->change;
    }
}

int op_order_write(const char *path, const struct op *op, const struct op_begun *begun, size_t n,
                   struct error *err)
{
    json_t *head = json_pack("{s:o, s:I, s:I}", "tag", quote_json(op_tag(op)), "threads",
                             (json_int_t)op->threads, "operations", (json_int_t)n);
    FILE *file = fopen(path, "a");
    bool good = file && json_dumpf(head, file, 0) == 0 && fputc('\n', file) != EOF;

    for (size_t i = 0; good && i < n; i++)
        good = fprintf(file, "%" PRIu64 " %zu %zu %s %" PRIu64 "\n", begun[i].ns,
                       begun[i].number % op->threads, begun[i].number,
                       op_mix_kind_names[begun[i].kind], begun[i].which) > 0;
    if (file && fclose(file) != 0)
        good = false;
    json_decref(head);
    return good ? OK : fail_errno(err, ERR_IO, "%s: cannot be written", path);
}

/* 2. Reading */

struct order_reader {
    FILE *file;
    const char *path;
    char *text; /* of the line, with its end */
    size_t bytes, line;
    struct error *err;
};

static bool next_line(struct order_reader *r)
{
    r->line++;
    return getline(&r->text, &r->bytes, r->file) >= 0;
}

static int refuse(const struct order_reader *r, const char *what)
{
    return fail(r->err, ERR_CORRUPT, "%s:%zu: %s", r->path, r->line, what);
}

/* Reads a number and the character behind it. */
static bool take_number(const char **at, char end, uint64_t *number)
{
    char *after;

    errno = 0;
    if (!isdigit((unsigned char)**at))
        return false;
    *number = strtoull(*at, &after, 10);
    *at = after + 1;
    return *after == end && errno == 0;
}

static bool take_kind(const char **at, enum mix_kind *kind)
{
    for (int k = 0; k < MIX_KINDS; k++) {
        const size_t n = strlen(op_mix_kind_names[k]);

        if (strncmp(*at, op_mix_kind_names[k], n) != 0 || (*at)[n] != ' ')
            continue;
        *kind = (enum mix_kind)k;
        *at += n + 1;
        return true;
    }
    return false;
}

/* Reads the line of JSON that begins a part. */
static int read_head(const struct order_reader *r, struct op_order *o, json_t **head)
{
    const long long most = OP_OPERATIONS_MAX;

    *head = json_loads(r->text, 0, NULL);
    const long long threads = field_integer(*head, "threads", 0),
                    n = field_integer(*head, "operations", -1);
    o->threads = (size_t)threads;
    o->n = (size_t)n;
    o->line = r->line + 1;
    if (!json_is_string(json_object_get(*head, "tag")) || threads < 1 || threads > most || n < 0 ||
        n > most)
        return refuse(r, "expected the line that begins a part, as { \"tag\": \"mix\", "
                         "\"threads\": 2, \"operations\": 100 }");
    return OK;
}

static int read_operation(const struct order_reader *r, const struct op_order *o, uint64_t last_ns,
                          struct op_begun *b)
{
    const char *at = r->text;
    uint64_t thread, number;

    if (!take_number(&at, ' ', &b->ns) || !take_number(&at, ' ', &thread) ||
        !take_number(&at, ' ', &number) || !take_kind(&at, &b->kind) ||
        !take_number(&at, '\n', &b->which))
        return refuse(r, "expected nanoseconds, thread, number of the operation, kind, and query, "
                         "row or id, as in \"1260 1 3 insert 4\"");
    if (b->ns < last_ns)
        return refuse(r, "the operation began before that of the line above");
    if (number >= OP_OPERATIONS_MAX || number % o->threads != thread)
        return fail(r->err, ERR_CORRUPT,
                    "%s:%zu: operation %" PRIu64 " is not one of thread %" PRIu64 " of %zu",
                    r->path, r->line, number, thread, o->threads);
    b->number = (size_t)number;
    return OK;
}

/* Reads the operations of a part; they are kept if it is `wanted`. */
static int read_part(struct order_reader *r, struct op_order *o, bool wanted)
{
    struct op_begun b = { 0 };
    size_t capacity = 0;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < o->n; i++) {
        const uint64_t last_ns = b.ns;

        if (!next_line(r))
            return fail(r->err, ERR_CORRUPT, "%s: the file is truncated: %zu of %zu operations",
                        r->path, i, o->n);
        rc = read_operation(r, o, last_ns, &b);
        if (rc != OK || !wanted)
            continue;
        if (!mem_grow(NULL, &o->begun, &capacity, i + 1, sizeof *o->begun))
            return fail(r->err, ERR_NO_MEMORY, "%s: out of memory", r->path);
        o->begun[i] = b;
    }
    return rc;
}

int op_order_read(const char *path, const char *tag, size_t part, struct op_order *o,
                  struct error *err)
{
    struct order_reader r = { .file = fopen(path, "r"), .path = path, .err = err };
    size_t parts = 0;
    bool found = false;
    int rc = OK;

    *o = (struct op_order){ 0 };
    if (!r.file)
        return fail_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s", path);
    while (rc == OK && !found && next_line(&r)) {
        json_t *head;

        rc = read_head(&r, o, &head);
        const bool tagged = rc == OK && strcmp(field_text(head, "tag", ""), tag) == 0;
        found = tagged && parts == part;
        parts += tagged;
        json_decref(head);
        rc = rc == OK ? read_part(&r, o, found) : rc;
    }
    if (rc == OK && ferror(r.file))
        rc = fail_errno(err, ERR_IO, "%s", path);
    if (rc == OK && !found)
        rc = fail(err, ERR_NOT_FOUND,
                  "%s: the file has %zu parts with the tag \"%s\", and number %zu is wanted: the "
                  "first mix of a tag takes the first part with that tag, the second the second",
                  path, parts, tag, part + 1);
    free(r.text);
    fclose(r.file);
    return rc;
}

void op_order_free(struct op_order *o)
{
    mem_free(NULL, o->begun);
    *o = (struct op_order){ 0 };
}

/* 3. Whose operations they are */

/* Walks the sequences until each operation of the order is met, whose position `at` has. */
static void plan_all(const struct op *op, const uint64_t *changes, const size_t *starts,
                     const struct idmap *at, size_t n_numbers, struct op_planned *planned)
{
    for (size_t t = 0; t < op->threads; t++) {
        struct op_sequence s = op_sequence_begin(op, t);
        struct op_planned p;
        uint64_t i;

        s.changes = changes + starts[t];
        s.n_changes = starts[t + 1] - starts[t];
        while (op_sequence_next(&s, &p) && p.number < n_numbers)
            if (idmap_get(at, p.number, &i))
                planned[i] = p;
    }
}

int op_order_plan(const struct op *op, struct op_planned **planned, struct error *err)
{
    size_t n_numbers = 0;
    struct idmap at;

    idmap_init(&at, NULL);
    const bool reserved = idmap_reserve(&at, op->n_order);
    uint64_t *changes = mem_array(NULL, op_changes(op) + 1, sizeof *changes);
    size_t *starts = mem_array(NULL, op->threads + 1, sizeof *starts);
    *planned = mem_array(NULL, op->n_order + 1, sizeof **planned);
    int rc =
        reserved && changes && starts && *planned
            ? op_sequence_deal(op, changes, starts, err)
            : fail(err, ERR_NO_MEMORY, "out of memory for an order of %zu operations", op->n_order);

    if (rc == OK) {
        for (size_t i = op->n_order; i-- > 0;) { /* the first of a number stays */
            (*planned)[i].number = SIZE_MAX;
            (void)idmap_put(&at, op->order[i], i);
            n_numbers = op->order[i] >= n_numbers ? op->order[i] + 1 : n_numbers;
        }
        plan_all(op, changes, starts, &at, n_numbers, *planned);
    }
    idmap_free(&at);
    mem_free(NULL, changes);
    mem_free(NULL, starts);
    return rc;
}

/* Whether operation i of the file stands in it before. */
static bool is_repeated(const struct op_order *o, size_t i)
{
    size_t j = 0;

    while (o->begun[j].number != o->begun[i].number)
        j++;
    return j < i;
}

/* Compares each operation of the file with that of the mix. */
static int compare(const struct op *op, const struct op_planned *planned, const struct op_order *o,
                   const char *path, struct error *err)
{
    for (size_t i = 0; i < o->n; i++) {
        const struct op_begun *b = &o->begun[i];
        const struct op_planned *p = &planned[i];

        if (p->number == SIZE_MAX && is_repeated(o, i))
            return fail(err, ERR_CONFIG, "%s:%zu: the file has operation %zu twice", path,
                        o->line + i, b->number);
        if (p->number == SIZE_MAX)
            return fail(err, ERR_CONFIG, "%s:%zu: thread %zu has no operation %zu here", path,
                        o->line + i, b->number % op->threads, b->number);
        /* The query that is nearest to a row is known when the rows are read. */
        const bool known = p->near == SIZE_MAX;
        if (p->kind != b->kind || (known && op_order_which(op, p) != b->which))
            return fail(err, ERR_CONFIG,
                        "%s:%zu: operation %zu is \"%s %" PRIu64 "\", but \"%s %" PRIu64
                        "\" here: an order is replayed with the rows, queries, shares, threads and "
                        "seed that it was recorded with",
                        path, o->line + i, b->number, op_mix_kind_names[b->kind], b->which,
                        op_mix_kind_names[p->kind], known ? op_order_which(op, p) : b->which);
    }
    return OK;
}

int op_order_take(struct op *op, const struct op_order *o, const char *path, struct error *err)
{
    struct op_planned *planned = NULL;

    if (o->threads != op->threads)
        return fail(err, ERR_CONFIG, "%s:%zu: the order is of %zu threads, but threads = %zu here",
                    path, o->line - 1, o->threads, op->threads);
    op->order = malloc((o->n + 1) * sizeof *op->order);
    if (!op->order)
        return fail(err, ERR_NO_MEMORY, "%s: out of memory", path);
    for (size_t i = 0; i < o->n; i++)
        op->order[i] = o->begun[i].number;
    op->n_order = o->n;
    int rc = op_order_plan(op, &planned, err);
    if (rc == OK)
        rc = compare(op, planned, o, path, err);
    if (rc != OK)
        op->n_order = 0;
    mem_free(NULL, planned);
    return rc;
}
