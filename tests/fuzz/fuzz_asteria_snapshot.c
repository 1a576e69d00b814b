/* fuzz_asteria_snapshot.c - a small index of Asteria, saved or running with a log, its sections and records changed and
 * hashed again: it is refused with a sentence, or lives on without a crash.
 *
 *   byte 0: which index; 128: it is trained anew   then edits of 8 bytes: what, section or op, position (2 bytes), value (4 bytes)
 *   what: 0 bits of a byte turned   1 four bytes   2 eight bytes   3 four from elsewhere in the section
 *   4 shorter   5 longer   6 a section left out   7 a journal record (running ones)
 *   section: by its place; where rows have a file of their own, it comes after the last one
 *
 * What a hash shows is no concern of this target: it starts where hashes hold and numbers lie.
 */
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/asteria/check.h"
#include "algorithms/asteria/snapshot.h"
#include "algorithms/asteria/tier_state.h"
#include "algorithms/common/journal.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/param.h"
#include "src/core/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { DIM = 12, ROWS = 160, IDS = 2 * ROWS, K = 5, EDITS_MAX = 24, LONGER = 64 };
enum { LIMIT = 64 << 20, ROWS_FILE = 1 << 20 };

/* Ids that no edit makes: insert() is given no id that is stored. */
#define FRESH UINT64_C(0x0123456789abcd00)

/* How far an index has come. */
enum age { UNTRAINED, FULL, WORN, HALFWAY };

static const struct kind {
    enum element element;
    enum age age;
    const char *options;
} kinds[] = {
    { ELEMENT_F32, HALFWAY, "code=hamming,address_bits=4" },
    { ELEMENT_U8, WORN, "code=hamming,address_bits=3,caprg=false" },
    { ELEMENT_F32, WORN, "rotation=pca,code=none,address_bits=6,vantages=learned,scan_dims=3" },
    { ELEMENT_F32, UNTRAINED, "durability=written" },
    { ELEMENT_U8, WORN, "code=golay2,address_bits=18,rows=tiered,hot_mb=0,durability=written" },
    { ELEMENT_F32, HALFWAY, "code=rm,address_bits=3,lrsq_pca=false,r=4,durability=written" },
    { ELEMENT_F32, FULL, "rotation=itq,code=hamming,address_bits=5,link=insert,centre=false" },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct edit {
    uint8_t what, section;
    uint16_t at;
    uint32_t value;
};

struct fuzz {
    const struct kind *kind;
    struct mem mem;
    struct error error;
    struct pool *pool;
    struct index_env env;
    char dir[PATH_MAX];
    unsigned char rows[ROWS * DIM * sizeof(float)];
    struct asteria *a;
    struct edit edits[EDITS_MAX];
    size_t n_edits;
};

/* Made when first asked for, and kept. */
struct base {
    struct store_reader r;
    unsigned char *rows; /* the file of rows; NULL: there is none */
    size_t rows_bytes;
    bool made;
};
static struct base bases[KINDS];

#define EXPECT(f, holds)                                                               \
    do {                                                                               \
        if (!(holds)) {                                                                \
            fprintf(stderr, "kind %zu: %s: %s\n", (size_t)((f)->kind - kinds), #holds, \
                    (f)->error.text);                                                  \
            abort();                                                                   \
        }                                                                              \
    } while (0)

/* ------------------------------------------------------------------------------- the index */

static bool runs(const struct fuzz *f)
{
    return strstr(f->kind->options, "durability") != NULL;
}

static struct vectors rows_from(const struct fuzz *f, size_t first, size_t n)
{
    return (struct vectors){ f->rows + first * element_row_bytes(f->env.element, DIM), n, DIM,
                             f->env.element };
}

static void fill_rows(struct fuzz *f)
{
    struct rng r = rng_at(1, 7);
    float centres[9][DIM];

    for (size_t i = 0; i < 9 * DIM; i++)
        centres[i / DIM][i % DIM] = (float)rng_normal(&r);
    for (size_t i = 0; i < ROWS; i++) {
        const float *centre = centres[rng_below(&r, 9)];
        float row[DIM], sum = 0;

        for (size_t j = 0; j < DIM; j++) {
            row[j] = centre[j] + .3F * (float)rng_normal(&r);
            sum += row[j] * row[j];
        }
        for (size_t j = 0; j < DIM; j++) {
            const float unit = row[j] / sqrtf(sum);

            if (f->env.element == ELEMENT_U8)
                f->rows[i * DIM + j] = (unsigned char)(128 + 100 * unit);
            else
                memcpy(f->rows + (i * DIM + j) * sizeof unit, &unit, sizeof unit);
        }
    }
}

static void make_folder(char dir[PATH_MAX])
{
    const char *memory = getenv("DRIFTLINE_TEST_MEMORY"), *tmp = getenv("TMPDIR");

    (void)snprintf(dir, PATH_MAX, "%s/driftline-fuzz-XXXXXX",
                   memory && *memory ? memory
                   : tmp && *tmp     ? tmp
                                     : "/tmp");
    if (!mkdtemp(dir))
        abort();
}

static void remove_folder(const char *dir)
{
    char path[PATH_MAX];
    DIR *d = opendir(dir);

    for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && snprintf(path, sizeof path, "%s/%s", dir, e->d_name) > 0)
            (void)unlink(path);
    if (d)
        (void)closedir(d);
    (void)rmdir(dir);
}

static void begin(struct fuzz *f, const struct kind *kind)
{
    memset(f, 0, sizeof *f);
    f->kind = kind;
    f->mem.limit_bytes = LIMIT;
    f->pool = pool_create(1);
    if (!f->pool)
        abort();
    make_folder(f->dir);
    f->env = (struct index_env){ .dim = DIM,
                                 .element = kind->element,
                                 .metric = METRIC_COS,
                                 .seed = 3,
                                 .k_hint = 10,
                                 .mem = &f->mem,
                                 .pool = f->pool,
                                 .kernels = kernels_select(ISA_AVX512),
                                 .dir = f->dir,
                                 .error = &f->error,
                                 .device = "cpu" };
    fill_rows(f);
}

static void end(struct fuzz *f)
{
    if (f->a)
        asteria_destroy(&f->a->base);
    EXPECT(f, mem_live(&f->mem) == 0);
    pool_destroy(f->pool);
    remove_folder(f->dir);
}

static void set_options(struct fuzz *f, struct asteria_params *p)
{
    char copy[256], *rest = NULL;

    memset(p, 0, sizeof *p);
    param_defaults(asteria_ops.params, p);
    p->train_steps = 3;
    p->batch = 32;
    p->degree = 5;
    p->pool = 24;
    p->leaf_cap = 24;
    p->lrsq_block = 4;
    (void)snprintf(copy, sizeof copy, "%s", f->kind->options);
    for (char *pair = strtok_r(copy, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(pair, '=');

        *value++ = '\0';
        EXPECT(f, param_set(asteria_ops.params, p, pair,
                            (struct param_value){ .kind = VALUE_TEXT, .text = value }, "fuzz",
                            &f->error) == OK);
    }
}

static int apply(struct fuzz *f, bool insert, size_t first, size_t n, uint64_t id)
{
    uint64_t ids[ROWS];
    size_t done;

    for (size_t i = 0; i < n; i++)
        ids[i] = id + i;
    return insert ? asteria_insert(&f->a->base, rows_from(f, first, n), ids, &done)
                  : asteria_remove(&f->a->base, ids, n, &done);
}

static void grow(struct fuzz *f)
{
    struct index *index = &f->a->base;
    bool more;

    if (f->kind->age == UNTRAINED)
        return;
    EXPECT(f, asteria_train(index, rows_from(f, 0, 100)) == OK);
    EXPECT(f, apply(f, true, 0, 120, 0) == OK);
    EXPECT(f, asteria_maintain(index, 0, &more) == OK);
    if (f->kind->age == FULL)
        return;
    EXPECT(f, apply(f, false, 0, 50, 20) == OK);
    EXPECT(f, asteria_maintain(index, 70, &more) == OK);
    EXPECT(f, apply(f, true, 120, 30, 120) == OK);
    EXPECT(f, apply(f, false, 0, 10, 100) == OK);
    if (f->kind->age == WORN)
        return;
    EXPECT(f, asteria_train(index, rows_from(f, 50, 100)) == OK);
    while (f->a->generations[f->a->now]->live == 0)
        EXPECT(f, asteria_maintain(index, 10, &more) == OK);
    EXPECT(f, apply(f, false, 0, 3, 0) == OK);
    EXPECT(f, f->a->generations[!f->a->now] && f->a->generations[!f->a->now]->live > 0);
}

static void keep_rows(const struct fuzz *f, struct base *b)
{
    char path[PATH_MAX + sizeof TIER_FILE_NAME];

    (void)snprintf(path, sizeof path, "%s/" TIER_FILE_NAME, f->dir);
    FILE *file = fopen(path, "rb");
    if (!file)
        return;
    b->rows = calloc(ROWS_FILE, 1);
    if (!b->rows)
        abort();
    b->rows_bytes = fread(b->rows, 1, ROWS_FILE, file);
    (void)fclose(file);
}

static const struct base *base_of(const struct kind *kind)
{
    static struct fuzz f;
    struct base *b = &bases[kind - kinds];
    struct asteria_params params;
    struct index *index = NULL;

    if (b->made)
        return b;
    begin(&f, kind);
    set_options(&f, &params);
    EXPECT(&f, asteria_create(&index, &f.env, &params) == OK);
    f.a = asteria_of(index);
    grow(&f);
    EXPECT(&f, asteria_check(index, NULL) == OK);
    EXPECT(&f, asteria_save(index, f.dir) == OK);
    const struct store_identity identity = snapshot_identity(&f.env);
    EXPECT(&f, store_open(&b->r, f.dir, runs(&f) ? SNAPSHOT_RUNNING : SNAPSHOT_SAVED, &identity,
                          &f.error) == OK); /* its mapping outlives the file */
    if (runs(&f))
        keep_rows(&f, b);
    b->made = true;
    end(&f);
    return b;
}

/* --------------------------------------------------------------------------------- the edits */

static void take_edits(struct fuzz *f, const uint8_t *at, size_t bytes)
{
    for (; bytes >= 8 && f->n_edits < EDITS_MAX; at += 8, bytes -= 8) {
        struct edit *e = &f->edits[f->n_edits++];

        e->what = at[0] % 8;
        e->section = at[1];
        memcpy(&e->at, at + 2, sizeof e->at);
        memcpy(&e->value, at + 4, sizeof e->value);
    }
}

/* Within the first `room` bytes; a whole section is reached, in steps of its size / 2^16. */
static size_t place(const struct edit *e, size_t bytes, size_t n, size_t step)
{
    const size_t places = bytes >= n ? (bytes - n) / step + 1 : 0;

    return places <= 1 << 16 ? e->at % (places ? places : 1) * step
                             : places / (1 << 16) * e->at * step;
}

static void change(const struct edit *e, unsigned char *bytes, size_t *n)
{
    const uint64_t wide = e->value >> 31 ? UINT64_MAX - ~e->value : e->value;

    if (e->what == 0 && *n >= 1)
        bytes[place(e, *n, 1, 1)] ^= (unsigned char)e->value;
    if (e->what == 1 && *n >= 4)
        memcpy(bytes + place(e, *n, 4, 4), &e->value, 4);
    if (e->what == 2 && *n >= 8)
        memcpy(bytes + place(e, *n, 8, 8), &wide, 8);
    if (e->what == 3 && *n >= 4)
        memmove(bytes + place(e, *n, 4, 4), bytes + e->value % (*n / 4) * 4, 4);
    if (e->what == 4)
        *n -= e->at % (*n + 1);
    if (e->what == 5)
        *n += e->at % LONGER;
}

/* The bytes of a section, changed: to be freed. NULL: it is left out. */
static unsigned char *edited(const struct fuzz *f, const struct base *b, size_t section,
                             const unsigned char *from, size_t *n)
{
    unsigned char *bytes = calloc(*n + EDITS_MAX * LONGER, 1);
    bool left_out = false;

    if (!bytes)
        abort();
    memcpy(bytes, from, *n);
    for (size_t i = 0; i < f->n_edits; i++)
        if (f->edits[i].what < 7 &&
            f->edits[i].section % (b->r.n_entries + (b->rows != NULL)) == section) {
            left_out |= f->edits[i].what == 6;
            change(&f->edits[i], bytes, n);
        }
    if (left_out) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

static void write_section(const struct fuzz *f, struct store_writer *w, const struct base *b,
                          size_t section)
{
    const struct store_entry *entry = &b->r.entries[section];
    size_t n = (size_t)entry->bytes;
    unsigned char *bytes = edited(f, b, section, b->r.base + entry->offset, &n);

    if (bytes) {
        store_section(w, entry->tag);
        store_write(w, bytes, n);
    }
    free(bytes);
}

static void write_rows(const struct fuzz *f, const struct base *b)
{
    char path[PATH_MAX + sizeof TIER_FILE_NAME];
    size_t n = b->rows_bytes;
    unsigned char *bytes = b->rows ? edited(f, b, b->r.n_entries, b->rows, &n) : NULL;

    if (!bytes)
        return;
    (void)snprintf(path, sizeof path, "%s/" TIER_FILE_NAME, f->dir);
    FILE *file = fopen(path, "wb");
    EXPECT(f, file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
    free(bytes);
}

/* Value's bytes: how many ids, the first of them, the step between them; a remainder of bytes. */
static void append_record(struct fuzz *f, struct journal *j, const struct edit *e)
{
    static const unsigned char some[ROWS * DIM * sizeof(float)] = { 1 };
    uint64_t ids[64];
    const size_t n = e->value & 63, row = element_row_bytes(f->env.element, DIM);
    const uint8_t op = e->section % 5, odd = e->section / 5;

    for (size_t i = 0; i < n; i++)
        ids[i] = odd & 2 ? e->value : (e->value >> 8 & 0xff) + i * (e->value >> 16 & 7);
    const struct journal_part parts[] = {
        { ids, n * sizeof *ids },
        { odd & 1 ? some : f->rows + e->at % 90 * row, op == LOG_INSERT ? n * row : 0 },
        { some, odd & 4 ? e->value >> 24 & 15 : op == LOG_TRAIN },
    };
    EXPECT(f, journal_append(j, op, parts, 3) == OK);
    EXPECT(f, journal_commit(j) == OK);
}

static void write_journal(struct fuzz *f, const struct store_reader *r)
{
    const struct snapshot_meta *meta = NULL;
    struct journal *j = NULL;

    EXPECT(f, store_need_array(r, "meta", 1, sizeof *meta, &meta) == OK);
    EXPECT(f, journal_open(&j, &f->env, JOURNAL_WRITTEN, meta->lsn, NULL) == OK);
    for (size_t i = 0; i < f->n_edits; i++)
        if (f->edits[i].what == 7)
            append_record(f, j, &f->edits[i]);
    journal_close(j);
}

static void write_edited(struct fuzz *f, const struct base *b)
{
    const struct store_reader *r = &b->r;
    static struct store_writer w;
    const struct store_identity identity = snapshot_identity(&f->env);

    EXPECT(f, store_begin(&w, f->dir, runs(f) ? SNAPSHOT_RUNNING : SNAPSHOT_SAVED, &identity, NULL,
                          &f->error) == OK);
    for (size_t i = 0; i < r->n_entries; i++)
        write_section(f, &w, b, i);
    EXPECT(f, store_commit(&w) == OK);
    write_rows(f, b);
    if (runs(f))
        write_journal(f, r);
}

/* ------------------------------------------------------------------------------ what is left */

static void ask(struct fuzz *f, unsigned way)
{
    uint64_t ids[3 * K];
    float distances[3 * K];
    struct asteria_knobs knobs;

    param_defaults(asteria_ops.knobs, &knobs);
    knobs.probes = way % 2 ? 3 : 1 << 22;
    knobs.mode = way == 0 ? MODE_CERTIFIED : MODE_HEURISTIC;
    knobs.order = way % 6;
    knobs.beam = way % 3 == 1 ? 8 : 0;
    knobs.audit = way == 4;
    const struct search_request request = { rows_from(f, way, 3), K, &knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    (void)asteria_search(&f->a->base, &request, &result);
    for (size_t i = 0; i < 3 * K && !f->error.code; i++)
        EXPECT(f, ids[i] == ID_NONE || slot_table_get(&f->a->slots, f->a->ids, ids[i], NULL));
    error_clear(&f->error);
}

static int count(void *to, size_t query, uint64_t id, float distance)
{
    struct fuzz *f = to;

    (void)query;
    (void)distance;
    EXPECT(f, slot_table_get(&f->a->slots, f->a->ids, id, NULL));
    return OK;
}

static void ask_range(struct fuzz *f)
{
    struct asteria_knobs knobs;

    param_defaults(asteria_ops.knobs, &knobs);
    const struct range_request request = { rows_from(f, 1, 2), .5, &knobs, NULL, 1 };
    struct range_result result = { .found = count, .to = f };
    (void)asteria_range(&f->a->base, &request, &result);
    error_clear(&f->error);
}

static void maintain(struct fuzz *f, uint64_t budget)
{
    bool more = true;

    for (size_t i = 0; i < 5 && more; i++) {
        (void)asteria_maintain(&f->a->base, budget, &more);
        error_clear(&f->error);
    }
}

/* Whatever is answered: numbers that no one can know to be wrong may be, and check() says so. */
static void live_on(struct fuzz *f, bool trains)
{
    struct index *index = &f->a->base;

    /* Of any value in the file; a long training is no finding. */
    f->a->params.train_steps = 1;
    f->a->params.batch = 16;
    (void)asteria_check(index, NULL);
    error_clear(&f->error);
    for (unsigned way = 0; f->a->trained && way < 6; way++)
        ask(f, way);
    ask_range(f);
    for (uint64_t id = 0; f->a->trained && id < IDS; id += 7)
        if (slot_table_get(&f->a->slots, f->a->ids, id, NULL))
            (void)apply(f, false, 0, 1, id);
    error_clear(&f->error);
    if (f->a->trained)
        (void)apply(f, true, 100, 40, FRESH);
    error_clear(&f->error);
    maintain(f, 30);
    if (trains)
        (void)asteria_train(index, rows_from(f, 10, 90));
    error_clear(&f->error);
    maintain(f, 0);
    if (f->a->trained) {
        (void)apply(f, true, 100, 40, FRESH + 100);
        ask(f, 1);
    }
    (void)asteria_check(index, NULL);
    error_clear(&f->error);
    EXPECT(f, asteria_check_slots(f->a) == OK);
    (void)asteria_save(index, f->dir);
    error_clear(&f->error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct fuzz f; /* large; nothing stays in it */
    const struct asteria_opening opening = { 0 };

    if (bytes < 1)
        return 0;
    const struct kind *kind = &kinds[(data[0] & 127) % KINDS];
    const struct base *b = base_of(kind);
    begin(&f, kind);
    take_edits(&f, data + 1, bytes - 1);
    write_edited(&f, b);
    const int rc = asteria_load_from(&f.a, &f.env, f.dir, &opening);
    EXPECT(&f, f.n_edits > 0 || rc == OK);
    EXPECT(&f, rc == OK || rc == ERR_CORRUPT || rc == ERR_VERSION);
    EXPECT(&f, rc == f.error.code && (rc == OK) == !f.error.text[0]);
    if (rc != OK)
        EXPECT(&f, mem_live(&f.mem) == 0);
    if (rc == OK && f.n_edits == 0)
        EXPECT(&f, asteria_check(&f.a->base, NULL) == OK);
    error_clear(&f.error);
    if (rc == OK)
        live_on(&f, data[0] & 128);
    end(&f);
    return 0;
}
