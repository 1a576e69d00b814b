/* fault_disk.h - a disk that fails: calls cut short, interrupted or refused, and a power cut that
 * leaves any mix of what was not synced.
 *
 * open, write, pwrite, ftruncate, fsync, fdatasync, rename, link and unlink of a program that links
 * this go through it, those of its shared libraries too, for files under one folder. Files are
 * modelled as POSIX promises and no better: a sector of 512 bytes is on the device once its file
 * was synced, or at any moment before; a name is once its folder was synced. After an fsync that
 * failed the pages count as written, and only writing them again brings them to the device. Writing
 * through a mapping is not seen before the next sync of the file.
 */
#ifndef DRIFTLINE_TESTS_SUPPORT_FAULT_DISK_H
#define DRIFTLINE_TESTS_SUPPORT_FAULT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_end { DISK_POWER_CUT = 90, DISK_KILLED = 91 }; /* exit status of the process */

/* Calls are counted from 1; 0: never. */
struct disk_plan {
    uint64_t seed;
    size_t end_at;           /* the process ends at this call, before it, after it, or within */
    bool killed;             /* it ends by itself: all that was written stays */
    unsigned short_rate;     /* of 1000 writes, how many write less than they were asked to */
    unsigned interrupt_rate; /* ... are interrupted before they write */
    size_t full_from, full_calls; /* the disk is full: nothing can grow, or be created */
    size_t sync_fails_at;         /* the fsync of a file that fails with EIO */
};

/* Files under `root` (an absolute path) are on the device as they are. Once in a process. */
void disk_begin(const char *root, const struct disk_plan *);
/* No more faults, and no end; the model goes on. */
void disk_heal(void);
/* The power goes now: the folder is left as the device has it, and the process ends. */
_Noreturn void disk_cut(void);
size_t disk_calls(void);
/* Whether any call was refused so far. */
bool disk_failed(void);

#endif
