/* tier_durable.c - rows of the file that snapshots refer to: made durable, adopted by the next
 * process; and rows that a full disk keeps in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/asteria/tier_state.h"
#include "src/core/error.h"
#include "src/core/mem.h"

bool tier_durable(const struct tier *t)
{
    return t->file && t->file->durable;
}

void tier_load(struct tier *t, bool begun)
{
    if (t->file)
        t->file->loading = begun;
}

uint32_t tier_sum(const struct tier *t, uint32_t slot)
{
    return *(const uint32_t *)stable_at(&t->file->sums, slot);
}

void tier_stay(struct tier *t)
{
    if (t->file)
        t->file->stays = true;
}

int tier_adopt(struct tier *t, const uint32_t *slots, const uint32_t *sums, size_t n,
               const void **rows)
{
    bool refused = false;

    for (size_t i = 0; i < n; i++)
        *(uint32_t *)stable_at(&t->file->sums, slots[i]) = sums[i];
    const int rc = tier_get_many(t, slots, n, rows);
    for (size_t i = 0; rc == OK && i < n; i++) {
        unsigned char *frame = tier_frame_for(t, slots[i], &refused);
        if (frame)
            memcpy(frame, rows[i], t->row_bytes);
    }
    return rc;
}

/* ----------------------------------------------------------------------------- held rows */

int tier_hold(struct tier *t, const uint32_t *slots, const void *rows, size_t n)
{
    struct tier_held *h = &t->file->held;
    const unsigned char *row = rows;

    if (h->n + n >= TIER_HELD ||
        !mem_grow(t->env.mem, &h->rows, &h->rows_capacity, h->n + n, t->stride) ||
        !mem_grow(t->env.mem, &h->slots, &h->slots_capacity, h->n + n, sizeof *h->slots))
        return fail(t->env.error, ERR_NO_MEMORY,
                    "asteria: %s: the disk is full, and there is no memory for %zu rows",
                    t->file->path, h->n + n);
    for (size_t i = 0; i < n; i++) {
        uint32_t *frame_of = &t->file->frame_of[slots[i]];

        if (!(*frame_of & TIER_HELD)) { /* that of a row that was there before, else */
            h->slots[h->n] = slots[i];
            *frame_of = TIER_HELD | (uint32_t)h->n++;
        }
        unsigned char *to = h->rows + (size_t)(*frame_of & ~TIER_HELD) * t->stride;
        memcpy(to, row + i * t->row_bytes, t->row_bytes);
        memset(to + t->row_bytes, 0, t->stride - t->row_bytes);
    }
    return OK;
}

int tier_release_held(struct tier *t, size_t most)
{
    struct tier_file *f = t->file;
    struct tier_held *h = &f->held;

    for (; h->n > 0 && most > 0; h->n--, most--) {
        const uint32_t slot = h->slots[h->n - 1];
        const uint64_t end = ((uint64_t)slot + 1) * t->stride;
        const int why = tier_file_put(t, slot, h->rows + (h->n - 1) * t->stride, 1);

        if (why != 0)
            return why;
        if (end > f->end)
            f->end = end;
        f->frame_of[slot] = 0;
    }
    if (h->n == 0)
        tier_free_held(t);
    return 0;
}

void tier_free_held(struct tier *t)
{
    struct tier_held *h = &t->file->held;

    mem_free(t->env.mem, h->rows);
    mem_free(t->env.mem, h->slots);
    *h = (struct tier_held){ 0 };
}

int tier_flush(struct tier *t)
{
    const int why = t->file ? tier_release_held(t, SIZE_MAX) : 0;

    return why == 0 ? OK : tier_file_unwritten(t, t->file->held.slots[t->file->held.n - 1], why);
}

/* ------------------------------------------------------------------------------- syncing */

/* A page whose write-back failed counts as clean afterwards, and a second fsync() would say yes to
   what is not on the device. So all rows that the snapshot needs are written again; what the system
   has lost shows in its checksum. */
static int write_again(struct tier *t, const uint64_t *slots, size_t n_slots)
{
    unsigned char *row = mem_zalloc(t->env.mem, t->stride);
    int rc = row ? OK : fail(t->env.error, ERR_NO_MEMORY, "asteria: no memory to write rows again");

    for (uint32_t slot = 0; rc == OK && slot < n_slots; slot++) {
        if (!(slots[slot / 64] >> slot % 64 & 1))
            continue;
        rc = tier_file_read(t, slot, row);
        const int why = rc == OK ? tier_file_put(t, slot, row, 1) : 0;
        if (why != 0)
            rc = tier_file_unwritten(t, slot, why);
    }
    mem_free(t->env.mem, row);
    return rc;
}

static bool sync_fd(const struct tier_file *f, int fd, const char *call)
{
    if (fd < 0 || store_faulted(f->fault, call))
        return false;
    while (fsync(fd) != 0)
        if (errno != EINTR)
            return false;
    return true;
}

static bool sync_name(const struct tier *t)
{
    const int fd = open(t->env.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = sync_fd(t->file, fd, "fsync-dir");
    const int cause = errno;

    if (fd >= 0)
        (void)close(fd);
    errno = cause;
    return synced;
}

int tier_sync(struct tier *t, const uint64_t *slots, size_t n_slots)
{
    struct tier_file *f = t->file;
    const int rc = f->unsure ? write_again(t, slots, n_slots) : OK;

    if (rc != OK)
        return rc;
    f->unsure = !sync_fd(f, f->fd, "fsync");
    if (!f->unsure && !f->named)
        f->named = sync_name(t);
    return !f->unsure && f->named
               ? OK
               : fail_errno(t->env.error, ERR_IO, "asteria: cannot make durable %s", f->path);
}
