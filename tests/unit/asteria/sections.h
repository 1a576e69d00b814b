/* sections.h - a file of a part of an index: written by the part, with a section changed by hand
 * under right checksums, and read again. */
#ifndef DRIFTLINE_TESTS_UNIT_ASTERIA_SECTIONS_H
#define DRIFTLINE_TESTS_UNIT_ASTERIA_SECTIONS_H

#include "algorithms/common/durable/store_file.h"
#include "tests/support/testing.h"

struct part_file {
    struct error *error;
    const char *name;
    struct store_identity identity;
    char dir[PATH_MAX];
    struct store_writer writer;
    struct store_reader reader, sound; /* sound: what part_file_keep() kept */
};

/* In a folder of its own. */
static inline void part_file_begin(struct part_file *f, struct test_bench *b)
{
    memset(f, 0, sizeof *f);
    f->error = &b->error;
    f->name = "part";
    f->identity = store_identity_of(&b->env, "asteria", 1);
    test_dir_make_in_memory(f->dir);
}

static inline void part_file_end(struct part_file *f)
{
    if (f->sound.base)
        store_close(&f->sound);
    test_dir_remove(f->dir);
}

/* The part writes its sections, then part_file_written(). */
static inline struct store_writer *part_file_write(struct part_file *f)
{
    assert_ok(store_begin(&f->writer, f->dir, f->name, &f->identity, NULL, f->error), f->error);
    return &f->writer;
}

static inline void part_file_written(struct part_file *f)
{
    assert_ok(store_commit(&f->writer), f->error);
}

/* To be closed with store_close(). */
static inline struct store_reader *part_file_read(struct part_file *f)
{
    assert_ok(store_open(&f->reader, f->dir, f->name, &f->identity, f->error), f->error);
    return &f->reader;
}

/* Keeps what is written, for changes of it. */
static inline void part_file_keep(struct part_file *f)
{
    assert_ok(store_open(&f->sound, f->dir, f->name, &f->identity, f->error), f->error);
}

/* What a section has otherwise than the kept one. */
struct section_change {
    const char *tag;
    size_t at;
    const void *value; /* n bytes */
    size_t n;
    int64_t more; /* bytes at its end, left out if negative */
    bool gone;
};

static inline void part_file_change(struct part_file *f, const struct section_change *c)
{
    bool met = false;

    (void)part_file_write(f);
    for (size_t i = 0; i < f->sound.n_entries; i++) {
        const struct store_entry *e = &f->sound.entries[i];
        const bool hit = strcmp(e->tag, c->tag) == 0;
        const int64_t bytes = (int64_t)e->bytes + (hit ? c->more : 0);
        unsigned char *copy = calloc(1, e->bytes + (size_t)llabs(c->more) + 1);

        assert_true(copy && bytes >= 0);
        memcpy(copy, f->sound.base + e->offset, e->bytes);
        if (hit && c->n > 0) {
            assert_true(c->at + c->n <= e->bytes);
            memcpy(copy + c->at, c->value, c->n);
        }
        if (!hit || !c->gone) {
            store_section(&f->writer, e->tag);
            store_write(&f->writer, copy, (size_t)bytes);
        }
        met |= hit;
        free(copy);
    }
    assert_true(met);
    part_file_written(f);
}

#endif
