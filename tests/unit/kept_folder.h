/* kept_folder.h - files as bytes: to cut, flip or lose some, and to put a folder back as it was. */
#ifndef DRIFTLINE_KEPT_FOLDER_H
#define DRIFTLINE_KEPT_FOLDER_H

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

struct kept_file {
    char name[64];
    unsigned char *bytes;
    size_t n;
};

struct kept_folder {
    struct kept_file files[128];
    size_t n;
};

/* Its files but those whose names begin with a dot. */
void kept_folder_take(struct kept_folder *, const char *dir);
/* They alone are there. */
void kept_folder_put(const struct kept_folder *, const char *dir);
void kept_folder_free(struct kept_folder *);

#endif
