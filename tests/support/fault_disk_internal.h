/* fault_disk_internal.h - what the files of fault_disk share: the model's state and its parts.
 *
 * fault_disk.c has the calls, fault_disk_device.c the bytes on the device and the power cut,
 * fault_disk_names.c the names and the files behind them. Each calls only those after it. Except
 * where noted, the caller holds `disk.lock`, or is alone.
 */
#ifndef DRIFTLINE_TESTS_SUPPORT_FAULT_DISK_INTERNAL_H
#define DRIFTLINE_TESTS_SUPPORT_FAULT_DISK_INTERNAL_H

#include "tests/support/fault_disk.h"

#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

#include "src/core/rng.h"

enum { DISK_NAMES_MOST = 4096, DISK_FILES_MOST = 4096, DISK_CHANGES_MOST = 8192 };

struct disk_bytes {
    unsigned char *at;
    size_t n;
};

struct disk_file {
    ino_t ino;
    size_t names;             /* that it has now */
    struct disk_bytes device; /* what is on the device */
    struct disk_bytes gone;   /* as it was when its last name went */
    /* A byte per page: a failed fsync dropped it, so a later one does not write it. */
    unsigned char *unwritten;
    size_t unwritten_n;
};

struct disk_name {
    char *path;
    int device, now; /* number of its file, -1: none */
};

/* Of a name, not yet on the device; those of one call have one `call`. */
struct disk_change {
    size_t call;
    int name, file;
};

struct disk_state {
    bool on, healed;
    pthread_mutex_t lock;
    char root[PATH_MAX];
    dev_t dev;
    struct disk_plan plan;
    struct rng rng;
    size_t calls, syncs, changing_calls;
    bool failed;
    struct disk_file files[DISK_FILES_MOST];
    struct disk_name names[DISK_NAMES_MOST];
    struct disk_change changes[DISK_CHANGES_MOST];
    size_t n_files, n_names, n_changes;
};

extern struct disk_state disk;
/* Calls of the model itself are not modelled. */
extern _Thread_local bool disk_inside;

/* Ends the process: the model itself cannot go on. */
_Noreturn void disk_give_up(const char *why);

/* fstat() by a system call, as the model makes every call: the thread sanitizer sees neither RocksDB
   nor the model close a file, and would take a later file of the same descriptor for that one. */
int disk_stat(int fd, struct stat *);
/* Number of the name, a new one if need be. */
int disk_name_of(const char *path);
/* Number of the file with that inode that has a name, -1: none. */
int disk_file_of(ino_t);
/* Any name that the file has now; NULL: none. */
const char *disk_path_of(int file);
/* What the file holds now, or held when its last name went; the caller frees `at`. */
struct disk_bytes disk_contents(int file);
/* Before the last name of a file goes. */
void disk_keep_contents(const char *path);
/* The name has that file from now on, and on the device some time later. */
void disk_change(int name, int file);
/* Brings names and files up to date with the folder: some came and went unseen, made by open() or
   by a library's own calls. */
void disk_reconcile(void);
/* The first n changes of names reach the device; they stay in the list. */
void disk_apply_changes(size_t n);
/* Names of a folder reach the device, with the other end of a rename. */
void disk_sync_folder(const char *dir);

/* What the file holds reaches the device: all of it, or, for a share below 1, some of its sectors.
   Pages that a failed sync dropped do not. size: the file's size reaches it as well. */
void disk_write_back(struct disk_file *, const struct disk_bytes *now, double share, bool size);
/* The device has some of it, and the system calls the rest clean. */
void disk_fail_sync(struct disk_file *, const struct disk_bytes *now);
/* These bytes were written anew, so that the next sync writes their pages. */
void disk_rewrite(struct disk_file *, size_t offset, size_t n);
/* disk_cut() for a caller that has the lock. */
_Noreturn void disk_cut_locked(void);

#endif
