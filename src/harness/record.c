/* record.c - turns the workload's calls into operations with fixed rows and ids, checking each
 * against the live set.
 *
 * 1 state   2 sources and spaces   3 ids and the live set   4 choices and filters   5 the
 * operations   6 the end
 */
#include "harness/record.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/record_rows.h"

/* What a runaway workload may take before it is stopped with a sentence. */
#define OPS_MAX          ((size_t)1000000)
#define RECORD_BYTES_MAX ((size_t)4 << 30)

/* Streams of the seed, one a purpose, so that another operation's draws change nothing here. */
enum { STREAM_CHOICE = 0x63686f69, STREAM_FILTER = 0x66696c74 };

/* 1. State */

struct recorder {
    struct op_list *list;
    size_t ops_capacity, datasets_capacity;
    struct row_ids **row_ids; /* one a dataset, in its order */
    size_t row_ids_capacity;
    size_t ids_capacity;   /* of list->rows, born and, by 64, bits */
    uint64_t *bits, *born; /* live; position in the log of an id's latest insertion */
    uint64_t *log;         /* ids in order of insertion */
    size_t log_n, log_head, log_capacity, live;
    size_t bytes; /* held by operations */
    uint64_t seed;
    bool metric_set, space_set, saved, changed;
    const char *space_of; /* the dataset that fixed dim and metric */
    struct error first;
};

int recorder_new(struct recorder **out, uint64_t seed, struct error *err)
{
    struct recorder *r = *out = calloc(1, sizeof *r);
    if (r)
        r->list = calloc(1, sizeof *r->list);
    if (!r || !r->list) {
        free(r);
        *out = NULL;
        return fail(err, ERR_NO_MEMORY, "out of memory");
    }
    r->seed = seed;
    return OK;
}

void recorder_free(struct recorder *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->list && i < r->list->n_opened; i++) {
        row_ids_free(r->row_ids[i]);
        free(r->row_ids[i]);
    }
    op_list_free(r->list);
    free(r->row_ids);
    free(r->bits);
    free(r->born);
    free(r->log);
    free(r);
}

void recorder_set_metric(struct recorder *r, enum metric metric)
{
    r->list->metric = metric;
    r->metric_set = true;
}

size_t recorder_live(const struct recorder *r)
{
    return r->live;
}

/* Makes room for need elements, at least doubling. */
static bool grow(void *array_ptr, size_t *capacity, size_t need, size_t element_bytes)
{
    if (need <= *capacity)
        return true;
    size_t more = *capacity * 2 > need ? *capacity * 2 : need;
    void *old;
    memcpy(&old, array_ptr, sizeof old);
    void *array = more > SIZE_MAX / element_bytes ? NULL : realloc(old, more * element_bytes);
    if (!array)
        return false;
    memcpy(array_ptr, &array, sizeof array);
    *capacity = more;
    return true;
}

static int no_memory(struct error *err)
{
    return fail(err, ERR_NO_MEMORY, "out of memory recording the workload");
}

/* 2. Sources and spaces */

static int add_source(struct recorder *r, struct source *source, const char *name,
                      const char *sha256)
{
    struct op_list *list = r->list;
    if (!grow(&list->datasets, &r->datasets_capacity, list->n_opened + 1, sizeof *list->datasets) ||
        !grow(&r->row_ids, &r->row_ids_capacity, list->n_opened + 1, sizeof(struct row_ids *)))
        return ERR_NO_MEMORY;
    struct row_ids *ids = malloc(sizeof *ids);
    char *copy = strdup(name);
    if (!ids || !copy) {
        free(ids);
        free(copy);
        return ERR_NO_MEMORY;
    }
    row_ids_init(ids);
    struct dataset_use *use = &list->datasets[list->n_opened];
    *use = (struct dataset_use){ .name = copy, .source = source };
    if (*sha256)
        snprintf(use->sha256, sizeof use->sha256, "%s", sha256);
    else
        snprintf(use->sha256, sizeof use->sha256, "xxh64:%016" PRIx64, source->hash);
    r->row_ids[list->n_opened++] = ids;
    return OK;
}

int recorder_source_take(struct recorder *r, struct source *source, const char *name,
                         const char *sha256, struct error *err)
{
    if (add_source(r, source, name, sha256) == OK)
        return OK;
    source_close(source);
    return no_memory(err);
}

/* The number of a source in the list; at its first use it moves before those that no operation uses
 * yet. */
static size_t dataset_of(struct recorder *r, const struct source *source)
{
    struct op_list *list = r->list;
    size_t i = 0;
    while (list->datasets[i].source != source)
        i++;
    if (i < list->n_datasets)
        return i;
    const size_t to = list->n_datasets++;
    struct dataset_use use = list->datasets[i];
    list->datasets[i] = list->datasets[to];
    list->datasets[to] = use;
    struct row_ids *ids = r->row_ids[i];
    r->row_ids[i] = r->row_ids[to];
    r->row_ids[to] = ids;
    return to;
}

static const char *name_of(struct recorder *r, const struct view *v)
{
    return r->list->datasets[dataset_of(r, v->segments[0].source)].name;
}

/* Every view of a workload has one dimension and one metric; codes do not mix with vectors. */
static int check_space(struct recorder *r, const struct view *v, struct error *err)
{
    struct op_list *list = r->list;
    const char *name = name_of(r, v);
    for (size_t i = 0; i < v->n_segments; i++)
        dataset_of(r, v->segments[i].source);
    const enum metric metric = r->metric_set ? list->metric : v->metric;
    if ((v->element == ELEMENT_B64) != (metric == METRIC_HAMMING))
        return fail(err, ERR_DIMENSION, "%s has rows of %s, which metric \"%s\" does not measure",
                    name, element_name(v->element), metric_name(metric));
    if (!r->space_set) {
        list->dim = v->dim;
        list->element = v->element;
        list->metric = metric;
        r->space_of = name;
        r->space_set = true;
        return OK;
    }
    if (v->dim != list->dim)
        return fail(err, ERR_DIMENSION, "%s has dimension %zu, but %s before it has %zu", name,
                    v->dim, r->space_of, list->dim);
    if (metric != list->metric)
        return fail(err, ERR_DIMENSION,
                    "%s is measured by \"%s\", but %s before it by \"%s\"; say metric = ... in the "
                    "experiment",
                    name, metric_name(metric), r->space_of, metric_name(list->metric));
    /* Bytes become floats where both occur: no value is lost. */
    if (v->element == ELEMENT_F32)
        list->element = ELEMENT_F32;
    return OK;
}

static int check_stored(struct recorder *r, const struct view *v, const struct step_note *note,
                        struct error *err)
{
    if (!v->is_query || note->allow_queries)
        return check_space(r, v, err);
    return fail(err, ERR_CONFIG,
                "these are rows of a query set (%s), which are for searching; if that is meant, "
                "say allow_queries = true",
                name_of(r, v));
}

/* 3. Ids and the live set */

static bool is_live(const struct recorder *r, uint64_t id)
{
    return id < r->list->n_ids && (r->bits[id >> 6] >> (id & 63) & 1);
}

static void set_live(struct recorder *r, uint64_t id, bool live)
{
    const uint64_t bit = (uint64_t)1 << (id & 63);
    if (live)
        r->bits[id >> 6] |= bit;
    else
        r->bits[id >> 6] &= ~bit;
    r->live += live ? 1 : (size_t)-1;
}

/* Room for ids up to n; the new ones are not live. */
static bool grow_ids(struct recorder *r, size_t n)
{
    if (n <= r->ids_capacity)
        return true;
    size_t capacity = r->ids_capacity * 2 > n ? r->ids_capacity * 2 : n;
    capacity = (capacity + 63) / 64 * 64;
    size_t old_words = r->ids_capacity / 64, words = capacity / 64, at;
    at = 0;
    if (!grow(&r->list->rows, &at, capacity, sizeof *r->list->rows))
        return false;
    at = 0;
    if (!grow(&r->born, &at, capacity, sizeof *r->born))
        return false;
    at = 0;
    if (!grow(&r->bits, &at, words, sizeof *r->bits))
        return false;
    memset(r->bits + old_words, 0, (words - old_words) * sizeof *r->bits);
    r->ids_capacity = capacity;
    return true;
}

/* Rows [row, row + n) of a dataset get ids where they have none, and rows[] says where those are.
 */
static bool name_rows(struct recorder *r, size_t dataset, size_t row, size_t n, uint64_t *ids)
{
    uint64_t next = r->list->n_ids;
    if (!row_ids_name(r->row_ids[dataset], row, n, &next) || !grow_ids(r, (size_t)next))
        return false;
    row_ids_get(r->row_ids[dataset], row, n, ids);
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= r->list->n_ids)
            r->list->rows[ids[i]] = (struct row_ref){ (uint32_t)dataset, row + i };
    r->list->n_ids = (size_t)next;
    return true;
}

/* The ids of a view's rows, ID_NONE where a row has none; with name, such a row gets one. */
static bool ids_of_view(struct recorder *r, const struct view *v, bool name, uint64_t *ids)
{
    for (size_t k = 0; k < v->n_segments; k++) {
        const struct segment *s = &v->segments[k];
        const size_t dataset = dataset_of(r, s->source);
        for (size_t i = 0; i < s->n;) {
            size_t row = s->order ? (size_t)s->order[i] : s->first, run = s->order ? 1 : s->n;
            while (s->order && i + run < s->n && s->order[i + run] == row + run)
                run++;
            if (!name)
                row_ids_get(r->row_ids[dataset], row, run, ids + s->at + i);
            else if (!name_rows(r, dataset, row, run, ids + s->at + i))
                return false;
            i += run;
        }
    }
    return true;
}

static int fail_row(struct recorder *r, const struct view *v, size_t i, uint64_t id,
                    const char *what, struct error *err)
{
    size_t row;
    const struct source *source = view_row(v, i, &row);
    const char *name = r->list->datasets[dataset_of(r, source)].name;
    if (id == ID_NONE)
        return fail(err, ERR_CONFIG, "row %zu of %s %s", row + 1, name, what);
    return fail(err, ERR_CONFIG, "row %zu of %s (id %" PRIu64 ") %s", row + 1, name, id, what);
}

static uint64_t *new_ids(struct recorder *r, size_t n, struct error *err)
{
    if (n > (RECORD_BYTES_MAX - r->bytes) / sizeof(uint64_t)) {
        fail(err, ERR_CONFIG, "the workload is about more than %zu million rows and ids in all",
             RECORD_BYTES_MAX / sizeof(uint64_t) / 1000000);
        return NULL;
    }
    r->bytes += n * sizeof(uint64_t);
    uint64_t *ids = malloc((n ? n : 1) * sizeof *ids);
    if (!ids)
        no_memory(err);
    return ids;
}

/* Makes a view's rows live. ids: v->n of them, filled. */
static int insert_rows(struct recorder *r, const struct view *v, uint64_t *ids, struct error *err)
{
    if (!ids_of_view(r, v, true, ids) ||
        !grow(&r->log, &r->log_capacity, r->log_n + v->n, sizeof *r->log))
        return no_memory(err);
    for (size_t i = 0; i < v->n; i++) {
        if (is_live(r, ids[i]))
            return fail_row(r, v, i, ids[i], "is live already; delete it first, or use w:update",
                            err);
        set_live(r, ids[i], true);
        r->born[ids[i]] = r->log_n;
        r->log[r->log_n++] = ids[i];
    }
    if (r->live > r->list->max_live)
        r->list->max_live = r->live;
    r->changed = true;
    return OK;
}

/* 4. Choices and filters */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* n distinct live ids at random, in random order. */
static void random_live(struct recorder *r, struct rng rng, size_t n, uint64_t *ids)
{
    rng_sample(&rng, r->live, n, ids);
    qsort(ids, n, sizeof *ids, compare_u64);
    size_t rank = 0, i = 0;
    for (size_t word = 0; i < n; word++) {
        uint64_t bits = r->bits[word];
        const size_t here = (size_t)__builtin_popcountll(bits);
        if (ids[i] >= rank + here) {
            rank += here;
            continue;
        }
        for (; bits; bits &= bits - 1, rank++)
            if (i < n && ids[i] == rank)
                ids[i++] = word * 64 + (uint64_t)__builtin_ctzll(bits);
    }
    rng_shuffle_u64(&rng, ids, n);
}

static void oldest_live(struct recorder *r, size_t n, uint64_t *ids)
{
    bool front = true;
    for (size_t at = r->log_head, i = 0; i < n; at++) {
        const uint64_t id = r->log[at];
        const bool valid = is_live(r, id) && r->born[id] == at;
        /* What is no longer an id's latest insertion never becomes it again. */
        front = front && !valid;
        if (front)
            r->log_head = at + 1;
        if (valid)
            ids[i++] = id;
    }
}

static size_t choice_n(const struct choice *c)
{
    return c->rows ? c->rows->n : c->ids ? c->n_ids : c->random ? c->random : c->oldest;
}

/* The chosen ids, each live and none twice; with `remove` they are live no longer. */
static int choose(struct recorder *r, const struct choice *c, bool remove, uint64_t *ids,
                  struct error *err)
{
    const size_t n = choice_n(c);
    const struct rng rng = rng_at(r->seed, rng_mix(STREAM_CHOICE, r->list->n));
    if ((c->random || c->oldest) && n > r->live)
        return fail(err, ERR_CONFIG, "%s = %zu, but %zu are live here",
                    c->random ? "random" : "oldest", n, r->live);
    if (c->rows)
        ids_of_view(r, c->rows, false, ids);
    else if (c->ids)
        memcpy(ids, c->ids, n * sizeof *ids);
    else if (c->random)
        random_live(r, rng, n, ids);
    else
        oldest_live(r, n, ids);
    for (size_t i = 0; i < n; i++) {
        if (is_live(r, ids[i])) {
            set_live(r, ids[i], false);
            continue;
        }
        bool again = false;
        for (size_t j = 0; j < i && !again; j++)
            again = ids[j] == ids[i];
        const char *what = again                                           ? "is named twice"
                           : ids[i] == ID_NONE || ids[i] >= r->list->n_ids ? "was never inserted"
                                                                           : "is not live here";
        if (c->rows)
            return fail_row(r, c->rows, i, ids[i], what, err);
        return fail(err, ERR_CONFIG, "id %" PRIu64 " %s", ids[i], what);
    }
    for (size_t i = 0; i < n && !remove; i++)
        set_live(r, ids[i], true);
    r->changed = true;
    return OK;
}

static int allow_tag(struct recorder *r, const char *tag, uint64_t *bits, struct error *err)
{
    const char *tags[64];
    size_t n_tags = 0;
    bool found = false;
    for (size_t k = 0; k < r->list->n; k++) {
        const struct op *op = &r->list->ops[k];
        if (op->kind != OP_INSERT || !op->tag)
            continue;
        if (n_tags < 64)
            tags[n_tags++] = op->tag;
        if (strcmp(op->tag, tag) != 0)
            continue;
        found = true;
        for (size_t i = 0; i < op->n; i++)
            bits[op->ids[i] >> 6] |= (uint64_t)1 << (op->ids[i] & 63);
    }
    if (found)
        return OK;
    const char *near = error_near(tag, tags, n_tags);
    return fail(err, ERR_CONFIG, "filter: no w:insert before this has tag \"%s\"%s%s%s", tag,
                near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int allow_fraction(struct recorder *r, double fraction, uint64_t *bits, struct error *err)
{
    size_t n = (size_t)llround(fraction * (double)r->live);
    n = n ? n : 1;
    uint64_t *ids = malloc(n * sizeof *ids);
    if (!ids)
        return no_memory(err);
    random_live(r, rng_at(r->seed, rng_mix(STREAM_FILTER, r->list->n)), n, ids);
    for (size_t i = 0; i < n; i++)
        bits[ids[i] >> 6] |= (uint64_t)1 << (ids[i] & 63);
    free(ids);
    return OK;
}

static int allow_ids(struct recorder *r, const struct allow *a, uint64_t *bits, struct error *err)
{
    for (size_t i = 0; i < a->n_ids; i++) {
        if (a->ids[i] >= r->list->n_ids)
            return fail(err, ERR_CONFIG, "filter: id %" PRIu64 " was never inserted", a->ids[i]);
        bits[a->ids[i] >> 6] |= (uint64_t)1 << (a->ids[i] & 63);
    }
    return OK;
}

static int make_filter(struct recorder *r, const struct allow *a, struct op *op, struct error *err)
{
    if (!a)
        return OK;
    const size_t words = r->list->n_ids / 64 + 1;
    if (words * 8 > RECORD_BYTES_MAX - r->bytes)
        return fail(err, ERR_CONFIG, "the filters of this workload take more than %zu MB",
                    RECORD_BYTES_MAX >> 20);
    r->bytes += words * 8;
    op->filter_bits = calloc(words, sizeof *op->filter_bits);
    if (!op->filter_bits)
        return no_memory(err);
    op->filter_ids = r->list->n_ids;
    int rc = a->tag            ? allow_tag(r, a->tag, op->filter_bits, err)
             : a->fraction > 0 ? allow_fraction(r, a->fraction, op->filter_bits, err)
                               : allow_ids(r, a, op->filter_bits, err);
    uint64_t any = 0;
    for (size_t i = 0; i < r->list->n_ids / 64 + 1 && i < r->ids_capacity / 64; i++)
        any |= op->filter_bits[i] &= r->bits[i];
    if (!rc && !any)
        return fail(err, ERR_CONFIG, "filter: nothing that it allows is live here");
    return rc;
}

/* 5. The operations */

/* A new operation at the list's end, not counted before it is whole; NULL: err says why. */
static struct op *begin(struct recorder *r, enum op_kind kind, const struct step_note *note,
                        struct error *err)
{
    struct op_list *list = r->list;
    if (r->first.code) {
        fail(err, ERR_CONFIG, "the workload went on after an error: %s", r->first.text);
        return NULL;
    }
    if (list->n == OPS_MAX) {
        fail(err, ERR_CONFIG, "a workload of more than %zu operations", OPS_MAX);
        return NULL;
    }
    if (!grow(&list->ops, &r->ops_capacity, list->n + 1, sizeof *list->ops)) {
        no_memory(err);
        return NULL;
    }
    struct op *op = &list->ops[list->n];
    *op = (struct op){
        .kind = kind, .line = note->line, .batch = note->batch, .singles = note->singles
    };
    op->tag = note->tag ? strdup(note->tag) : NULL;
    if (!note->tag || op->tag)
        return op;
    no_memory(err);
    return NULL;
}

/* Counts the operation, or undoes it and keeps the first failure. */
static int end(struct recorder *r, struct op *op, int rc, const struct error *err)
{
    if (!op || rc) {
        if (!r->first.code && err)
            r->first = *err;
        if (op) {
            free(op->tag);
            free(op->ids);
            free(op->filter_bits);
            view_drop(op->rows);
            view_drop(op->writes);
        }
        return rc ? rc : err->code;
    }
    op->live_after = r->live;
    r->list->n++;
    return OK;
}

static void use_rows(struct recorder *r, struct op *op, struct view *rows)
{
    op->rows = view_keep(rows);
    op->n = rows->n;
    r->bytes += view_bytes(rows);
}

static int check_singles(const struct op *op, struct error *err)
{
    if (op->singles <= op->n)
        return OK;
    return fail(err, ERR_CONFIG, "singles = %zu, but there are %zu rows", op->singles, op->n);
}

int record_train(struct recorder *r, const struct step_note *note, struct view *rows,
                 struct error *err)
{
    struct op *op = begin(r, OP_TRAIN, note, err);
    int rc = op ? check_stored(r, rows, note, err) : err->code;
    if (!rc)
        use_rows(r, op, rows);
    return end(r, op, rc, err);
}

int record_insert(struct recorder *r, const struct step_note *note, struct view *rows,
                  struct error *err)
{
    struct op *op = begin(r, OP_INSERT, note, err);
    int rc = op ? check_stored(r, rows, note, err) : err->code;
    if (!rc) {
        use_rows(r, op, rows);
        op->ids = new_ids(r, op->n, err);
        rc = op->ids ? check_singles(op, err) : err->code;
    }
    if (!rc)
        rc = insert_rows(r, rows, op->ids, err);
    return end(r, op, rc, err);
}

static int choose_into(struct recorder *r, struct op *op, const struct choice *c, bool remove,
                       struct error *err)
{
    op->n = choice_n(c);
    int rc = check_singles(op, err);
    if (!rc && c->rows)
        rc = check_space(r, c->rows, err);
    if (rc)
        return rc;
    op->ids = new_ids(r, op->n, err);
    return op->ids ? choose(r, c, remove, op->ids, err) : err->code;
}

int record_delete(struct recorder *r, const struct step_note *note, const struct choice *c,
                  struct error *err)
{
    struct op *op = begin(r, OP_DELETE, note, err);
    int rc = op ? choose_into(r, op, c, true, err) : err->code;
    return end(r, op, rc, err);
}

int record_update(struct recorder *r, const struct step_note *note, const struct choice *c,
                  struct view *with, struct error *err)
{
    struct op *op = begin(r, OP_UPDATE, note, err);
    int rc = op ? check_stored(r, with, note, err) : err->code;
    if (!rc && choice_n(c) != with->n)
        rc = fail(err, ERR_CONFIG, "%zu rows are to get new vectors, but `with` has %zu",
                  choice_n(c), with->n);
    if (!rc)
        rc = choose_into(r, op, c, false, err);
    if (!rc) {
        use_rows(r, op, with);
        r->list->has_updates = true;
    }
    return end(r, op, rc, err);
}

/* What search and range share. */
static int ask(struct recorder *r, struct op *op, struct view *queries, const struct allow *allow,
               struct error *err)
{
    int rc = check_space(r, queries, err);
    if (!rc && !r->live)
        rc = fail(err, ERR_CONFIG, "nothing is live here: w:insert comes first");
    if (!rc && op->k > r->live)
        rc = fail(err, ERR_CONFIG, "k = %zu, but only %zu rows are live here", op->k, r->live);
    if (!rc)
        rc = make_filter(r, allow, op, err);
    if (rc)
        return rc;
    use_rows(r, op, queries);
    if (op->n > r->list->max_queries)
        r->list->max_queries = op->n;
    if (op->k > r->list->max_k)
        r->list->max_k = op->k;
    return OK;
}

int record_search(struct recorder *r, const struct step_note *note, struct view *queries, size_t k,
                  const struct allow *allow, struct error *err)
{
    struct op *op = begin(r, OP_SEARCH, note, err);
    if (op)
        op->k = k;
    int rc = op ? ask(r, op, queries, allow, err) : err->code;
    return end(r, op, rc, err);
}

int record_range(struct recorder *r, const struct step_note *note, struct view *queries,
                 double radius, const struct allow *allow, struct error *err)
{
    struct op *op = begin(r, OP_RANGE, note, err);
    if (op)
        op->radius = radius;
    int rc = op ? ask(r, op, queries, allow, err) : err->code;
    if (!rc && radius < 0 && r->list->metric != METRIC_IP)
        rc = fail(err, ERR_CONFIG, "radius = %g, but metric \"%s\" has no distance below 0", radius,
                  metric_name(r->list->metric));
    return end(r, op, rc, err);
}

int record_maintain(struct recorder *r, const struct step_note *note, uint64_t budget,
                    struct error *err)
{
    struct op *op = begin(r, OP_MAINTAIN, note, err);
    if (op)
        op->budget = budget;
    return end(r, op, op ? OK : err->code, err);
}

int record_mark(struct recorder *r, const struct step_note *note, enum op_kind kind,
                struct error *err)
{
    struct op *op = begin(r, kind, note, err);
    int rc = op ? OK : err->code;
    if (!rc && kind == OP_SAVE) {
        r->saved = true;
        r->changed = false;
    }
    if (!rc && kind == OP_RELOAD && !r->saved)
        rc = fail(err, ERR_CONFIG, "nothing was saved yet: w:save comes first");
    if (!rc && kind == OP_RELOAD && r->changed)
        rc = fail(err, ERR_CONFIG,
                  "rows changed since the last w:save, so that what it saved is another index; "
                  "save again first");
    return end(r, op, rc, err);
}

int record_concurrent(struct recorder *r, const struct step_note *note,
                      const struct concurrent_request *c, struct error *err)
{
    struct op *op = begin(r, OP_CONCURRENT, note, err);
    int rc = op ? OK : err->code;
    if (!rc) {
        op->k = c->k;
        rc = ask(r, op, (struct view *)(uintptr_t)c->queries, NULL, err);
        op->n = 0;
    }
    if (!rc && c->writes) {
        rc = check_stored(r, c->writes, note, err);
        op->n = c->writes->n;
        op->ids = rc ? NULL : new_ids(r, op->n, err);
        rc = op->ids ? insert_rows(r, c->writes, op->ids, err) : err->code;
    }
    if (!rc) {
        op->writes = c->writes ? view_keep((struct view *)(uintptr_t)c->writes) : NULL;
        op->writers = c->writers;
        op->readers = c->readers;
        op->seconds = c->seconds;
        op->rate = c->rate;
    }
    return end(r, op, rc, err);
}

/* 6. The end */

static int compare_updates(const void *a, const void *b)
{
    const struct update_ref *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (x->op > y->op) - (x->op < y->op);
}

static int index_updates(struct op_list *list, struct error *err)
{
    size_t n = 0;
    for (size_t k = 0; k < list->n; k++)
        n += list->ops[k].kind == OP_UPDATE ? list->ops[k].n : 0;
    if (!n)
        return OK;
    list->updates = malloc(n * sizeof *list->updates);
    if (!list->updates)
        return no_memory(err);
    for (size_t k = 0; k < list->n; k++) {
        const struct op *op = &list->ops[k];
        for (size_t i = 0; op->kind == OP_UPDATE && i < op->n; i++)
            list->updates[list->n_updates++] = (struct update_ref){ op->ids[i], k, i };
    }
    qsort(list->updates, n, sizeof *list->updates, compare_updates);
    return OK;
}

int recorder_finish(struct recorder *r, struct op_list **out, struct error *err)
{
    int rc = OK;
    if (r->first.code)
        rc = fail(err, ERR_CONFIG, "the workload went on after an error: %s", r->first.text);
    else if (!r->list->n)
        rc = fail(err, ERR_CONFIG, "the workload has no operation");
    else
        rc = index_updates(r->list, err);
    if (!rc) {
        for (size_t i = 0; i < r->list->n_opened; i++) {
            row_ids_free(r->row_ids[i]);
            free(r->row_ids[i]);
        }
        *out = r->list;
        r->list = NULL;
    }
    recorder_free(r);
    return rc;
}
