/* index_folder.h - files as bytes: to cut, flip or lose some, and to put a folder back as
   it was. */
#ifndef DRIFTLINE_TESTS_SUPPORT_INDEX_FOLDER_H
#define DRIFTLINE_TESTS_SUPPORT_INDEX_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* To be freed by free(at). */
struct bytes {
    unsigned char *at;
    size_t n;
};

struct bytes bytes_read(const char *path);
/* Zeros at the end become a hole. */
void bytes_write(const char *path, const unsigned char *bytes, size_t n);
/* Without the zeros at the end. */
size_t bytes_used(const unsigned char *bytes, size_t n);

struct copied_file {
    char name[64];
    unsigned char *bytes;
    size_t n;
};

struct folder_copy {
    struct copied_file files[128];
    size_t n;
};

/* Its files but those whose names begin with a dot. */
void folder_copy_take(struct folder_copy *, const char *dir);
/* They alone are there. */
void folder_copy_put(const struct folder_copy *, const char *dir);
void folder_copy_free(struct folder_copy *);

/* Whether the file system of the folder has reads that bypass the page cache. */
bool folder_has_direct_reads(const char *dir);

#endif
