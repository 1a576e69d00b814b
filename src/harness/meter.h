/* meter.h - what the process and a folder hold: the harness's own view of a method's memory. */
#ifndef DRIFTLINE_METER_H
#define DRIFTLINE_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes and threads of /proc/PID/status; all 0 and false where it cannot be read. */
struct resident {
    uint64_t anonymous; /* RssAnon: heap, stacks, private pages */
    uint64_t shared;    /* RssShmem: shared anonymous pages, mapped files in memory */
    uint64_t mapped;    /* RssFile */
    size_t threads;
    uint64_t peak; /* VmHWM: the most resident at any time, mapped pages included */
};
bool resident_read(long pid, struct resident *); /* pid 0: this process */
/* Bytes of files in memory that a process (0: this one) has open, whether it maps them or not: without a name, and
   in /dev/shm. */
struct memory_files {
    uint64_t nameless, named;
};
void memory_files_read(long pid, struct memory_files *);
/* Bytes of our files in /dev/shm. */
uint64_t shared_files_bytes(void);
/* Bytes that the descendants of `root` have for themselves, but for those of `but`. */
uint64_t resident_others(long root, long but);
/* How exact resident_read() is of this process: a large page is counted whole, and each thread's count is late by some
   pages. */
uint64_t resident_resolution(void);
/* Makes the peak start again from now, where the kernel lets it. */
void resident_reset_peak(void);

/* Has a short-lived process touch so many bytes (at most a quarter of what is free) and give them
   back. On a virtual machine whose host takes free memory away, the first touch of a page costs
   many times what later ones do, and would be charged to whichever method comes first. */
void memory_warm(size_t bytes);

/* Bytes of the regular files under a folder, links not followed. */
uint64_t folder_bytes(const char *path);
/* Writes what is unwritten of the regular files under a folder (an absolute path), and has the system
   forget their pages, mapped ones too. Those of a file system in memory stay: folder_cached() tells. */
void folder_uncache(const char *path);
/* The share of these files' pages that the page cache holds, 0 .. 1; NAN where there are none. */
double folder_cached(const char *path);
/* Removes a folder and all in it. */
void folder_remove(const char *path);

#endif
