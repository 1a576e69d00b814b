/* fuzz_asteria_snapshot.c - a small index of Asteria, saved or running with a log. Its sections and
 * records are edited, and their checksums recomputed: it is refused with an error, or works on
 * without a crash.
 *
 *   byte 0: which index; bit 128: it is trained again
 *   then edits of 8 bytes: kind, section or op, position (2 bytes), value (4 bytes)
 *   kind: 0 flipped bits of a byte   1 four bytes   2 eight bytes   3 four bytes from elsewhere in
 *   the section   4 shorter   5 longer   6 a section left out   7 a log record (running indexes)
 *   section: by its position
 *
 * Damage that a checksum detects is not tested here.
 */
#include "tests/fuzz/asteria_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

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

/* An offset with n bytes behind it, a multiple of `step`; in a large section,
 * one of 2^16 offsets. */
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

/* The edited bytes of a section; the caller frees them. NULL: the section is left out. */
static unsigned char *edited(const struct fuzz *f, const struct base *b, size_t section,
                             const unsigned char *from, size_t *n)
{
    unsigned char *bytes = calloc(*n + EDITS_MAX * LONGER, 1);
    bool left_out = false;

    if (!bytes)
        abort();
    memcpy(bytes, from, *n);
    for (size_t i = 0; i < f->n_edits; i++)
        if (f->edits[i].what < 7 && f->edits[i].section % b->r.n_entries == section) {
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

/* Bytes of `value`: number of ids, first id, step between ids, remainder of bytes. */
static void append_record(struct fuzz *f, struct wal *j, const struct edit *e)
{
    static const unsigned char some[ROWS * DIM * sizeof(float)] = { 1 };
    uint64_t ids[64];
    const size_t n = e->value & 63, row = index_row_bytes(f->env.element, DIM);
    const uint8_t op = e->section % 5, odd = e->section / 5;

    for (size_t i = 0; i < n; i++)
        ids[i] = odd & 2 ? e->value : (e->value >> 8 & 0xff) + i * (e->value >> 16 & 7);
    const struct wal_part parts[] = {
        { ids, n * sizeof *ids },
        { odd & 1 ? some : f->rows + e->at % 90 * row, op == LOGGED_INSERT ? n * row : 0 },
        { some, odd & 4 ? e->value >> 24 & 15 : 0 },
    };
    EXPECT(f, wal_append(j, op, parts, 3) == OK);
    EXPECT(f, wal_commit(j) == OK);
}

static void write_journal(struct fuzz *f, const struct store_reader *r)
{
    const uint64_t *log = NULL; /* begins with the lsn */
    struct wal *j = NULL;

    EXPECT(f, store_need_array(r, "log", 3, sizeof *log, &log) == OK);
    EXPECT(f, wal_open(&j, &f->env, WAL_WRITTEN, log[0], NULL) == OK);
    for (size_t i = 0; i < f->n_edits; i++)
        if (f->edits[i].what == 7)
            append_record(f, j, &f->edits[i]);
    wal_close(j);
}

static void write_edited(struct fuzz *f, const struct base *b)
{
    const struct store_reader *r = &b->r;
    static struct store_writer w;
    const struct store_identity identity = identity_of(f);

    EXPECT(f, store_begin(&w, f->dir, file_of(f), &identity, NULL, &f->error) == OK);
    for (size_t i = 0; i < r->n_entries; i++)
        write_section(f, &w, b, i);
    EXPECT(f, store_commit(&w) == OK);
    if (runs(f))
        write_journal(f, r);
}

/* -------------------------------------------------------------------------------- afterwards */

static void ask(struct fuzz *f, unsigned way)
{
    uint64_t ids[3 * K];
    float distances[3 * K];
    struct asteria_knobs knobs;

    param_defaults(asteria_ops.knobs, &knobs);
    knobs.nprobe = way % 2 ? 3 : 1 << 22;
    knobs.mode = way == 0 ? MODE_CERTIFIED : MODE_HEURISTIC;
    knobs.probe_order = way % 6;
    knobs.beam = way % 3 == 1 && f->a->params.caprg ? 8 : 0;
    knobs.audit = way == 4;
    const struct search_request request = { rows_from(f, way, 3), K, &knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    (void)asteria_search(&f->a->base, &request, &result);
    for (size_t i = 0; i < 3 * K && !f->error.code; i++)
        EXPECT(f, ids[i] == INDEX_NO_ID || slot_table_get(&f->a->slots, f->a->ids, ids[i], NULL));
    error_clear(&f->error);
}

static int count(void *to, size_t query, uint64_t id, float distance)
{
    struct fuzz *f = to;

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

/* Uses the index. Any answer, error and result of check() is accepted, as an edit may leave wrong
 * numbers that nothing can detect. */
static void live_on(struct fuzz *f, bool trains)
{
    struct index *index = &f->a->base;

    /* An edit may set any value here; a long training is not a failure. */
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
        (void)asteria_ops.train(index, rows_from(f, 10, 90));
    error_clear(&f->error);
    maintain(f, 0);
    if (f->a->trained) {
        (void)apply(f, true, 100, 40, FRESH + 100);
        ask(f, 1);
    }
    (void)asteria_check(index, NULL);
    error_clear(&f->error);
    EXPECT(f, asteria_check_places(f->a) == OK);
    (void)asteria_ops.save(index, f->dir);
    error_clear(&f->error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct fuzz f; /* too large for the stack; keeps no state */
    struct index *index = NULL;

    if (bytes < 1)
        return 0;
    const struct kind *kind = &kinds[(data[0] & 127) % KINDS];
    const struct base *b = base_of(kind);
    begin(&f, kind);
    take_edits(&f, data + 1, bytes - 1);
    write_edited(&f, b);
    const int rc = asteria_ops.load(&index, &f.env, f.dir);
    f.a = rc == OK ? asteria_of(index) : NULL;
    EXPECT(&f, f.n_edits > 0 || rc == OK);
    /* An edit may ask for a device, which this machine may not have. */
    const bool no_device = rc == ERR_UNSUPPORTED && strstr(f.error.text, "device = cuda");
    EXPECT(&f, rc == OK || rc == ERR_CORRUPT || rc == ERR_VERSION || no_device);
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
