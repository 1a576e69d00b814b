/* store_file.c - writes and reads files of sections. */
#include "algorithms/common/durable/store_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "src/core/mem.h"
#include "src/core/path_print.h"
#include "src/core/slot_table.h"

#define MAGIC   UINT64_C(0x31454c4946434644) /* "DFCFILE1" */
#define FORMAT  1
#define ALIGNED 64

struct head {
    uint64_t magic;
    uint32_t format, version;
    char method[32];
    uint64_t dim;
    uint32_t element, metric;
    uint64_t file_bytes, table_offset, n_entries, table_hash;
    char zero[24];
    uint64_t hash; /* of all bytes before it */
};
_Static_assert(sizeof(struct head) == 128, "the head's place in the file is fixed");
_Static_assert(sizeof(struct store_entry) == STORE_TAG_BYTES + 24, "the table has no gaps");

struct store_tag store_tag(const char *name, char last)
{
    struct store_tag tag;
    (void)snprintf(tag.text, sizeof tag.text, "%s%c", name, last);
    return tag;
}

/* ------------------------------------------------------------------------------- writing */

static int trouble(struct store_writer *w, const char *doing, const char *path)
{
    if (w->code == OK)
        w->code = fail_errno(w->error, ERR_IO, "%s %s", doing, path);
    return w->code;
}

static void release(struct store_writer *w)
{
    if (w->fd >= 0)
        (void)close(w->fd);
    w->fd = -1;
    XXH3_freeState(w->hash);
    w->hash = NULL;
}

static int begin(struct store_writer *w, const char *dir, const char *name)
{
    w->hash = XXH3_createState();
    if (!w->hash)
        return w->code = fail(w->error, ERR_NO_MEMORY, "save: out of memory for a checksum");
    /* The temporary name is the longest one. */
    w->code = path_print(w->temporary, w->error, "%s/%s.new", dir, name);
    if (w->code)
        return w->code;
    (void)snprintf(w->path, sizeof w->path, "%s/%s", dir, name);
    (void)snprintf(w->dir, sizeof w->dir, "%s", dir);
    if (!file_faulted(w->fault, "open"))
        w->fd = open(w->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0)
        return trouble(w, "cannot create", w->temporary);
    static const struct head nothing_yet;
    store_write(w, &nothing_yet, sizeof nothing_yet);
    return w->code;
}

int store_begin(struct store_writer *w, const char *dir, const char *name,
                const struct store_identity *identity, const struct file_fault *fault,
                struct error *err)
{
    assert(strlen(identity->method) < sizeof((struct head){ 0 }).method);
    w->error = err;
    w->fault = fault;
    w->fd = -1;
    w->code = OK;
    w->identity = *identity;
    w->at = 0;
    w->n_entries = w->buffered = 0;
    w->hash = NULL;
    /* After an error here the caller need not call store_abort(). */
    if (begin(w, dir, name) != OK)
        store_abort(w);
    return w->code;
}

static void put(struct store_writer *w, const unsigned char *bytes, size_t n)
{
    if (w->code != OK)
        return;
    if (file_write(w->fd, bytes, n, w->fault) < n)
        (void)trouble(w, "cannot write", w->temporary);
    w->at += n;
}

static void flush(struct store_writer *w)
{
    const size_t n = w->buffered;
    w->buffered = 0;
    put(w, w->buffer, n);
}

/* Writes through the buffer, without hashing. */
static void append(struct store_writer *w, const void *bytes, size_t n)
{
    if (w->code != OK || n == 0)
        return;
    if (n > sizeof w->buffer - w->buffered)
        flush(w);
    if (n > sizeof w->buffer) {
        put(w, bytes, n);
    } else {
        memcpy(w->buffer + w->buffered, bytes, n);
        w->buffered += n;
    }
}

static void end_section(struct store_writer *w)
{
    static const unsigned char zeros[ALIGNED];
    if (w->n_entries > 0 && w->hash)
        w->entries[w->n_entries - 1].hash = XXH3_64bits_digest(w->hash);
    append(w, zeros, (size_t)(-(w->at + w->buffered) % ALIGNED));
}

void store_section(struct store_writer *w, const char *tag)
{
    end_section(w);
    if (w->code != OK)
        return;
    assert(w->n_entries < STORE_SECTIONS_MAX && strlen(tag) < STORE_TAG_BYTES);
    struct store_entry *e = &w->entries[w->n_entries++];
    *e = (struct store_entry){ .offset = w->at + w->buffered };
    memcpy(e->tag, tag, strlen(tag));
    XXH3_64bits_reset(w->hash);
}

void store_write(struct store_writer *w, const void *bytes, size_t n_bytes)
{
    if (w->code != OK || n_bytes == 0)
        return;
    if (w->n_entries > 0) {
        XXH3_64bits_update(w->hash, bytes, n_bytes);
        w->entries[w->n_entries - 1].bytes += n_bytes;
    }
    append(w, bytes, n_bytes);
}

uint64_t store_offset(const struct store_writer *w)
{
    return w->at + w->buffered;
}

void store_fail(struct store_writer *w, int code)
{
    if (w->code == OK)
        w->code = code;
}

static void write_table_and_head(struct store_writer *w)
{
    end_section(w);
    const size_t table_bytes = w->n_entries * sizeof *w->entries;
    struct head h = { .magic = MAGIC,
                      .format = FORMAT,
                      .version = w->identity.version,
                      .dim = w->identity.dim,
                      .element = (uint32_t)w->identity.element,
                      .metric = (uint32_t)w->identity.metric,
                      .file_bytes = w->at + w->buffered + table_bytes,
                      .table_offset = w->at + w->buffered,
                      .n_entries = w->n_entries,
                      .table_hash = XXH3_64bits(w->entries, table_bytes) };
    memcpy(h.method, w->identity.method, strlen(w->identity.method));
    h.hash = XXH3_64bits(&h, offsetof(struct head, hash));
    append(w, w->entries, table_bytes);
    flush(w);
    if (w->code != OK)
        return;
    if (file_faulted(w->fault, "write") || lseek(w->fd, 0, SEEK_SET) != 0) {
        (void)trouble(w, "cannot write", w->temporary);
        return;
    }
    put(w, (const unsigned char *)&h, sizeof h);
}

int store_sync_dir(const char *dir, const struct file_fault *fault, struct error *err)
{
    return file_sync_folder(dir, fault) ? OK
                                        : fail_errno(err, ERR_IO, "cannot sync the folder %s", dir);
}

int store_commit(struct store_writer *w)
{
    write_table_and_head(w);
    if (w->code == OK && !file_sync(w->fd, w->fault))
        (void)trouble(w, "cannot make durable", w->temporary);
    if (w->code == OK) {
        const int fd = w->fd;
        w->fd = -1;
        const bool refused = file_faulted(w->fault, "close");
        if (close(fd) != 0 || refused)
            (void)trouble(w, "cannot close", w->temporary);
    }
    if (w->code == OK && (file_faulted(w->fault, "rename") || rename(w->temporary, w->path) != 0))
        (void)trouble(w, "cannot rename to its place", w->temporary);
    if (w->code != OK) {
        store_abort(w);
        return w->code;
    }
    w->code = store_sync_dir(w->dir, w->fault, w->error);
    release(w);
    return w->code;
}

void store_abort(struct store_writer *w)
{
    const bool created = w->fd >= 0 || w->at > 0;
    release(w);
    if (created)
        (void)unlink(w->temporary);
}

/* ------------------------------------------------------------------------------- reading */

#define CORRUPT(r, ...) fail((r)->error, ERR_CORRUPT, __VA_ARGS__)

static int map_file(struct store_reader *r)
{
    const int fd = open(r->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(r->error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s",
                          r->path);
    struct stat st;
    int rc = OK;
    if (fstat(fd, &st) != 0)
        rc = fail_errno(r->error, ERR_IO, "cannot stat %s", r->path);
    else if (!S_ISREG(st.st_mode))
        rc = fail(r->error, ERR_IO, "%s is not a file", r->path);
    else if ((uint64_t)st.st_size < sizeof(struct head))
        rc = CORRUPT(r, "%s: %jd bytes, less than a head's %zu; save the index again", r->path,
                     (intmax_t)st.st_size, sizeof(struct head));
    if (rc == OK) {
        void *base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (base == MAP_FAILED) {
            rc = fail_errno(r->error, ERR_IO, "cannot map %s", r->path);
        } else {
            r->base = base;
            r->bytes = (size_t)st.st_size;
        }
    }
    (void)close(fd);
    return rc;
}

/* Checks that the head has our format and is undamaged, before its numbers are used. */
static int check_head(const struct store_reader *r, const struct head *h)
{
    if (h->magic != MAGIC)
        return CORRUPT(r,
                       "%s: starts with %016" PRIx64 ", expected %016" PRIx64 "; not a saved index",
                       r->path, h->magic, MAGIC);
    const uint64_t hash = XXH3_64bits(h, offsetof(struct head, hash));
    if (h->hash != hash)
        return CORRUPT(r, "%s: head: checksum %016" PRIx64 ", expected %016" PRIx64, r->path, hash,
                       h->hash);
    if (h->format != FORMAT)
        return fail(r->error, ERR_VERSION, "%s: file format %" PRIu32 ", this program reads %d",
                    r->path, h->format, FORMAT);
    if (h->file_bytes != r->bytes)
        return CORRUPT(r, "%s: %zu bytes long, expected %" PRIu64, r->path, r->bytes,
                       h->file_bytes);
    return OK;
}

static int check_identity(const struct store_reader *r, const struct head *h,
                          const struct store_identity *want)
{
    if (strncmp(h->method, want->method, sizeof h->method) != 0)
        return fail(r->error, ERR_VERSION, "%s: saved by method \"%.32s\", expected \"%s\"",
                    r->path, h->method, want->method);
    if (h->version != want->version)
        return fail(r->error, ERR_VERSION,
                    "%s: version %" PRIu32 " of method \"%s\", this program reads %" PRIu32
                    "; build the index again and save it",
                    r->path, h->version, want->method, want->version);
    if (h->dim != want->dim)
        return fail(r->error, ERR_DIMENSION, "%s: dimension %" PRIu64 ", expected %" PRIu64,
                    r->path, h->dim, want->dim);
    if (h->element != (uint32_t)want->element || h->metric != (uint32_t)want->metric)
        return fail(r->error, ERR_DIMENSION, "%s: %s vectors under %s, expected %s under %s",
                    r->path, index_element_name((enum element)h->element),
                    index_metric_name((enum metric)h->metric), index_element_name(want->element),
                    index_metric_name(want->metric));
    return OK;
}

static bool all_zero(const unsigned char *bytes, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* Sections must follow each other with less than ALIGNED zeros between. */
static int check_sections(const struct store_reader *r, const struct head *h)
{
    uint64_t expected = sizeof *h;
    for (size_t i = 0; i < r->n_entries; i++) {
        const struct store_entry *e = r->entries + i;
        if (memchr(e->tag, '\0', STORE_TAG_BYTES) == NULL || e->offset != expected ||
            e->bytes > h->table_offset - e->offset)
            return CORRUPT(r,
                           "%s: section %zu of %zu lies at %" PRIu64 " with %" PRIu64
                           " bytes, expected at %" PRIu64 " before %" PRIu64,
                           r->path, i, r->n_entries, e->offset, e->bytes, expected,
                           h->table_offset);
        const uint64_t hash = XXH3_64bits(r->base + e->offset, (size_t)e->bytes);
        if (hash != e->hash)
            return CORRUPT(r, "%s: section \"%s\": checksum %016" PRIx64 ", expected %016" PRIx64,
                           r->path, e->tag, hash, e->hash);
        const uint64_t end = e->offset + e->bytes;
        expected = (end + ALIGNED - 1) / ALIGNED * ALIGNED;
        if (expected > h->table_offset || !all_zero(r->base + end, expected - end))
            return CORRUPT(r, "%s: section \"%s\": the bytes after it are not zero", r->path,
                           e->tag);
    }
    if (expected != h->table_offset)
        return CORRUPT(r, "%s: the table lies at %" PRIu64 ", expected at %" PRIu64, r->path,
                       h->table_offset, expected);
    return OK;
}

static int check_table(struct store_reader *r, const struct head *h)
{
    if (h->n_entries > STORE_SECTIONS_MAX || h->table_offset < sizeof *h ||
        h->table_offset > r->bytes || h->table_offset % ALIGNED != 0 ||
        r->bytes - h->table_offset != h->n_entries * sizeof *r->entries)
        return CORRUPT(r,
                       "%s: a table of %" PRIu64 " sections at %" PRIu64 " does not fit %zu bytes",
                       r->path, h->n_entries, h->table_offset, r->bytes);
    const unsigned char *table = r->base + h->table_offset;
    const uint64_t hash = XXH3_64bits(table, r->bytes - h->table_offset);
    if (hash != h->table_hash)
        return CORRUPT(r, "%s: table: checksum %016" PRIx64 ", expected %016" PRIx64, r->path, hash,
                       h->table_hash);
    r->entries = (const struct store_entry *)(const void *)table;
    r->n_entries = (size_t)h->n_entries;
    return check_sections(r, h);
}

int store_open(struct store_reader *r, const char *dir, const char *name,
               const struct store_identity *identity, struct error *err)
{
    *r = (struct store_reader){ .error = err };
    int rc = path_print(r->path, err, "%s/%s", dir, name);
    if (rc == OK)
        rc = map_file(r);
    if (rc != OK)
        return rc;
    struct head h;
    memcpy(&h, r->base, sizeof h);
    rc = check_head(r, &h);
    if (rc == OK)
        rc = check_identity(r, &h, identity);
    if (rc == OK)
        rc = check_table(r, &h);
    if (rc != OK)
        store_close(r);
    return rc;
}

const void *store_find(const struct store_reader *r, const char *tag, size_t *n_bytes)
{
    for (size_t i = 0; i < r->n_entries; i++) {
        if (strcmp(r->entries[i].tag, tag) == 0) {
            *n_bytes = (size_t)r->entries[i].bytes;
            return r->base + r->entries[i].offset;
        }
    }
    return NULL;
}

int store_need(const struct store_reader *r, const char *tag, size_t expected_bytes,
               const void **bytes, size_t *n_bytes)
{
    size_t found = 0;
    *bytes = store_find(r, tag, &found);
    if (!*bytes)
        return CORRUPT(r, "%s: section \"%s\" is missing", r->path, tag);
    if (expected_bytes != SIZE_MAX && found != expected_bytes)
        return CORRUPT(r, "%s: section \"%s\" has %zu bytes, expected %zu", r->path, tag, found,
                       expected_bytes);
    if (n_bytes)
        *n_bytes = found;
    return OK;
}

int store_read_params(const struct store_reader *r, const struct param *table, size_t n_bytes,
                      void *params)
{
    size_t found = 0;
    const void *saved = store_find(r, "params", &found);
    if (!saved || found != n_bytes)
        return fail(
            r->error, ERR_VERSION,
            "%s: saved with the options of another release; build the index again and save it",
            r->path);
    param_defaults(table, params);
    memcpy(params, saved, n_bytes);
    return param_possible(table, params) ? OK : store_corrupt(r, "an option is out of its range");
}

int store_need_array(const struct store_reader *r, const char *tag, uint64_t n, size_t each,
                     void *out)
{
    if (n > SIZE_MAX / each)
        return store_corrupt(r, "a count is larger than memory");
    return store_need(r, tag, (size_t)n * each, (const void **)out, NULL);
}

int store_take_ids(const struct store_reader *r, const uint64_t *ids, size_t n, size_t live,
                   struct slot_table *table)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == INDEX_NO_ID)
            continue;
        if (slot_table_get(table, ids, ids[i], NULL))
            return CORRUPT(r, "%s: id %" PRIu64 " at %zu occurs twice", r->path, ids[i], i);
        if (!slot_table_reserve(table, ids, ids + i, 1))
            return fail(r->error, ERR_NO_MEMORY, "%s: out of memory for %zu ids", r->path, n);
        slot_table_put(table, ids[i], (uint32_t)i);
    }
    return table->n == live ? OK
                            : CORRUPT(r, "%s: %zu of %zu places have an id, expected %zu", r->path,
                                      table->n, n, live);
}

int store_corrupt(const struct store_reader *r, const char *what)
{
    return fail(r->error, ERR_CORRUPT, "%s: %s", r->path, what);
}

const void *store_take(struct store_reader *r, size_t *bytes)
{
    r->taken = true;
    *bytes = r->bytes;
    return r->base;
}

void store_close(struct store_reader *r)
{
    if (r->base && !r->taken)
        (void)munmap((void *)(uintptr_t)r->base, r->bytes);
    r->base = NULL;
    r->entries = NULL;
    r->n_entries = r->bytes = 0;
}

/* --------------------------------------------------------------------------- both directions */

int store_field(struct store_fields *f, const char *tag, void *pointer, uint64_t n, size_t each)
{
    if (store_pieces(f, tag, pointer, n, each))
        store_write(f->w, *(const void **)pointer, (size_t)n * each);
    return f->code;
}

bool store_pieces(struct store_fields *f, const char *tag, void *pointer, uint64_t n, size_t each)
{
    if (f->w)
        store_section(f->w, tag);
    else if (f->code == OK)
        f->code = store_need_array(f->r, tag, n, each, pointer);
    return f->w;
}

int store_field_whole(struct store_fields *f, const char *tag, void *pointer, size_t *n,
                      size_t each)
{
    size_t bytes = 0;
    if (f->r && f->code == OK && store_find(f->r, tag, &bytes)) {
        *n = bytes / each;
        if (bytes % each != 0)
            return f->code =
                       CORRUPT(f->r, "%s: section \"%s\" has %zu bytes, expected a multiple of %zu",
                               f->r->path, tag, bytes, each);
    }
    return store_field(f, tag, pointer, *n, each);
}

int store_copy(struct store_fields *f, const char *tag, void *own, uint64_t n, size_t each)
{
    const void *from = own;
    if (store_field(f, tag, &from, n, each) == OK && f->r && n > 0)
        memcpy(own, from, (size_t)n * each);
    return f->code;
}

int store_array(struct store_fields *f, const char *tag, void *array_ptr, size_t *capacity,
                uint64_t n, size_t each)
{
    const void *from = *(void **)array_ptr;
    size_t none = 0;
    if (store_field(f, tag, &from, n, each) != OK || f->w)
        return f->code;
    if (!mem_grow(f->mem, array_ptr, capacity ? capacity : &none, (size_t)n, each))
        return f->code = fail(f->r->error, ERR_NO_MEMORY, "%s: out of memory for section \"%s\"",
                              f->r->path, tag);
    if (n > 0)
        memcpy(*(void **)array_ptr, from, (size_t)n * each);
    return OK;
}
