/* durable.c - durability of the file of rows, and reuse of its rows by the next process. */
#include <string.h>

#include "algorithms/asteria/rows/internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

bool asteria_rows_are_durable(const struct asteria_rows *t)
{
    return t->file && t->file->durable;
}

void asteria_rows_load(struct asteria_rows *t, bool begun)
{
    if (t->file)
        t->file->loading = begun;
}

uint32_t asteria_rows_sum(const struct asteria_rows *t, uint32_t slot)
{
    return *(const uint32_t *)segmented_at(&t->file->sums, slot);
}

void asteria_rows_keep_file(struct asteria_rows *t)
{
    if (t->file)
        t->file->stays = true;
}

int asteria_rows_adopt(struct asteria_rows *t, const uint32_t *slots, const uint32_t *sums,
                       size_t n, const void **rows)
{
    bool refused = false;

    for (size_t i = 0; i < n; i++)
        *(uint32_t *)segmented_at(&t->file->sums, slots[i]) = sums[i];
    const int rc = asteria_rows_get_many(t, slots, n, rows);
    for (size_t i = 0; rc == OK && i < n; i++) {
        unsigned char *frame = asteria_rows_frame_for(t, slots[i], &refused);
        if (frame)
            memcpy(frame, rows[i], t->row_bytes);
    }
    return rc;
}

int asteria_rows_flush(struct asteria_rows *t)
{
    const int why = t->file ? asteria_rows_release_held(t, SIZE_MAX) : 0;

    return why == 0 ? OK
                    : asteria_rows_file_unwritten(t, t->file->held.slots[t->file->held.n - 1], why);
}

/* ------------------------------------------------------------------------------- syncing */

/* After a failed write-back a page counts as clean, and a second fsync() would succeed although the
   data are not on the device. So all rows that the snapshot needs are written again; a row that the
   system has lost fails its checksum. */
static int write_again(struct asteria_rows *t, const uint64_t *slots, size_t n_slots)
{
    unsigned char *row = mem_zalloc(t->env.mem, t->stride);
    int rc =
        row ? OK
            : fail(t->env.error, ERR_NO_MEMORY, "asteria: out of memory, cannot write rows again");

    for (uint32_t slot = 0; rc == OK && slot < n_slots; slot++) {
        if (!(slots[slot / 64] >> slot % 64 & 1))
            continue;
        rc = asteria_rows_file_read(t, slot, row);
        const int why = rc == OK ? asteria_rows_file_put(t, slot, row, 1) : 0;
        if (why != 0)
            rc = asteria_rows_file_unwritten(t, slot, why);
    }
    mem_free(t->env.mem, row);
    return rc;
}

int asteria_rows_sync(struct asteria_rows *t, const uint64_t *slots, size_t n_slots)
{
    struct asteria_rows_file *f = t->file;
    const int rc = f->unsure ? write_again(t, slots, n_slots) : OK;

    if (rc != OK)
        return rc;
    f->unsure = !file_sync(f->fd, f->fault);
    if (!f->unsure && !f->named)
        f->named = file_sync_folder(t->env.dir, f->fault);
    return !f->unsure && f->named
               ? OK
               : fail_errno(t->env.error, ERR_IO, "asteria: cannot sync %s", f->path);
}
