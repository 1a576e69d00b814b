/* memory.h - memory of processes as the kernel counts it, independent of a method's own count. */
#ifndef DRIFTLINE_RUN_MEASURE_MEMORY_H
#define DRIFTLINE_RUN_MEASURE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes and threads from /proc/PID/status. */
struct resident {
    uint64_t anonymous; /* RssAnon: heap, stacks, private pages */
    uint64_t shared;    /* RssShmem: shared anonymous pages, mapped files in memory */
    uint64_t mapped;    /* RssFile */
    size_t threads;
    uint64_t peak; /* VmHWM: the most resident at any time, mapped pages included */
};
/* pid 0: this process. Returns false and sets all fields to 0 if the file cannot be read. */
bool memory_resident_read(long pid, struct resident *);
/* Bytes of the files in memory that a process has open, mapped or not. */
struct memory_files {
    uint64_t nameless, named; /* memfd_create(); /dev/shm */
};
void memory_files_read(long pid, struct memory_files *); /* pid 0: this process */
/* Bytes of this user's files in /dev/shm. */
uint64_t memory_shared_files_bytes(void);
/* Bytes of the descendants of process `root`, without process `but` and without what they share with
   it; what they share with each other counts once. */
uint64_t memory_others(long root, long but);
/* The error of memory_resident_read() for this process, in bytes: a large page is counted whole,
   and the kernel's count for each thread lags by some pages. */
uint64_t memory_resolution(void);
/* Resets the peak to the present size; has no effect where the kernel does not allow it. */
void memory_reset_peak(void);

/* Touches `bytes` bytes, at most a quarter of the free memory, in a child process that then ends.
   Where the host of a virtual machine reclaims free memory, the first access to a page is many
   times slower than later ones. Without this call the first method would pay for that. */
void memory_prefault(size_t bytes);

#endif
