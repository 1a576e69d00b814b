/* files.h - complete writes and reads of a descriptor, syncs and copies. Short counts and
 * interruptions are handled here; errno is set when a call fails.
 *
 * Before each system call, `fault` may make it fail, for tests; it may be NULL.
 *
 *   1 faults   2 bytes   3 syncs   4 paths and names */
#ifndef DRIFTLINE_COMMON_IO_FILES_H
#define DRIFTLINE_COMMON_IO_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"

/* 1. For tests: called before each system call of a method on its files, with the call's name:
   "open" "write" "read" "fsync" "close" "rename" ...; returns 0 to let the call through, or the
   errno that it shall fail with. */
struct file_fault {
    int (*before)(void *to, const char *call);
    void *to;
};
/* Whether the call shall fail; errno is then set. */
bool file_faulted(const struct file_fault *, const char *call);

/* 2. Return how many of the n bytes were written or read. Fewer than n: errno is set; 0: a read
   reached the end of the file. */
size_t file_write(int fd, const void *bytes, size_t n, const struct file_fault *);
size_t file_write_at(int fd, const void *bytes, size_t n, uint64_t at, const struct file_fault *);
size_t file_read_at(int fd, void *bytes, size_t n, uint64_t at, const struct file_fault *);
/* Copies from the current position of `from` to its end, to the current position of `to`. */
bool file_copy(int from, int to, const struct file_fault *);

/* 3. fsync() and fdatasync(), both "fsync" to a fault. Do not repeat a sync that failed: the system
   may treat the pages as clean. */
bool file_sync(int fd, const struct file_fault *);
bool file_sync_data(int fd, const struct file_fault *);
/* Syncs new and removed names in the folder `dir`; "fsync-dir" to a fault. */
bool file_sync_folder(const char *dir, const struct file_fault *);

/* 4. Opens a file for reads past the page cache. -1: the file system refuses them, some at open(),
   some at the first read, which is tried `at` there. */
int file_open_direct(const char *path, uint64_t at);
/* The number in a name of a prefix and digits; 0: it is another name. */
uint64_t file_number(const char *name, const char *prefix);
/* The greatest number below `below` of such names in the folder; 0: there is none. false: the
   folder cannot be read. */
bool file_newest(const char *dir, const char *prefix, uint64_t below, uint64_t *number);

#endif
