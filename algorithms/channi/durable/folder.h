/* folder.h - an index's folder and the folders of saved copies: lists, links and removes files. */
#ifndef DRIFTLINE_CHANNI_DURABLE_FOLDER_H
#define DRIFTLINE_CHANNI_DURABLE_FOLDER_H

#include "algorithms/channi/durable/manifest.h"

/* A set of cluster files, by the numbers in their names. Starts as { .mem = mem }; the list is freed
   with mem_free(). */
struct channi_files {
    uint64_t (*list)[2]; /* phash, version */
    size_t n, capacity;
    struct mem *mem;
};
bool channi_files_add(struct channi_files *, uint64_t phash,
                      uint64_t version); /* false: no memory */
void channi_files_sort(struct channi_files *);
/* Whether this is the name of a cluster file that is not in the sorted set. */
bool channi_files_lack(const struct channi_files *, const char *name);

/* ERR_ARGUMENT if an index has run in env.dir. */
int channi_folder_expect_empty(const struct index_env *);
/* Removes cluster files that no cluster of the list has, and files left half-written. ERR_IO. */
int channi_folder_clear(const struct index_env *, const char *dir,
                        const struct channi_manifest_cluster *, size_t n,
                        const struct file_fault *);
/* *number: the largest N of the saved files in dir; 0: none. ERR_IO. */
int channi_folder_newest_saved(const struct index_env *, const char *dir, uint64_t *number);
void channi_folder_saved_name(uint64_t number, uint64_t phash, uint64_t version,
                              char name[SAVED_NAME_MAX]);
/* Removes the saved files with this number or, with `others`, with any other number. A file that
   cannot be removed now is removed by a later save. */
void channi_folder_remove_saved(const char *dir, uint64_t number, bool others,
                                const struct file_fault *);
/* Gives a file a name in another folder: links it if the system can, else copies it. Replaces a
   file of that name. ERR_IO, ERR_NOT_FOUND naming the file. */
int channi_folder_link(const struct index_env *, const char *from, const char *name, const char *to,
                       const char *new_name, const struct file_fault *);
/* Makes a file durable or, if name is NULL, the names in a folder. */
int channi_folder_sync(const struct index_env *, const char *dir, const char *name,
                       const struct file_fault *);

#endif
