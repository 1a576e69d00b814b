/* index_folder.c - files read whole, and written again. */
#define _GNU_SOURCE /* O_DIRECT */
#include "tests/support/index_folder.h"

#include <sys/stat.h>

#include "tests/support/testing.h"

struct bytes bytes_read(const char *path)
{
    struct stat st;
    const int fd = open(path, O_RDONLY);

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    struct bytes b = { malloc((size_t)st.st_size + 1), (size_t)st.st_size };
    assert_non_null(b.at);
    assert_int_equal(read(fd, b.at, b.n), b.n);
    (void)close(fd);
    return b;
}

size_t bytes_used(const unsigned char *bytes, size_t n)
{
    while (n > 0 && bytes[n - 1] == 0)
        n--;
    return n;
}

void bytes_write(const char *path, const unsigned char *bytes, size_t n)
{
    const size_t used = bytes_used(bytes, n);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    assert_true(fd >= 0 && write(fd, bytes, used) == (ssize_t)used);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    (void)close(fd);
}

static void path_of(const char *dir, const char *name, char path[PATH_MAX])
{
    const int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

    assert_true(n > 0 && n < PATH_MAX);
}

void folder_copy_take(struct folder_copy *k, const char *dir)
{
    DIR *d = opendir(dir);

    assert_non_null(d);
    k->n = 0;
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        struct copied_file *f = &k->files[k->n];
        char path[PATH_MAX];

        if (e->d_name[0] == '.')
            continue;
        assert_true(k->n < sizeof k->files / sizeof *k->files &&
                    strlen(e->d_name) < sizeof f->name);
        strcpy(f->name, e->d_name);
        path_of(dir, f->name, path);
        const struct bytes b = bytes_read(path);
        f->bytes = b.at;
        f->n = b.n;
        k->n++;
    }
    (void)closedir(d);
}

void folder_copy_put(const struct folder_copy *k, const char *dir)
{
    test_dir_clear(dir);
    for (size_t i = 0; i < k->n; i++) {
        char path[PATH_MAX];

        path_of(dir, k->files[i].name, path);
        bytes_write(path, k->files[i].bytes, k->files[i].n);
    }
}

void folder_copy_free(struct folder_copy *k)
{
    for (size_t i = 0; i < k->n; i++)
        free(k->files[i].bytes);
    k->n = 0;
}

bool folder_has_direct_reads(const char *dir)
{
    _Alignas(4096) unsigned char page[4096] = { 0 };
    char path[PATH_MAX + 8];

    (void)snprintf(path, sizeof path, "%s/probe", dir);
    const int to = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(to >= 0 && write(to, page, sizeof page) == sizeof page);
    (void)close(to);
    const int fd = open(path, O_RDONLY | O_DIRECT);
    const bool has = fd >= 0 && pread(fd, page, sizeof page, 0) == sizeof page;
    if (fd >= 0)
        (void)close(fd);
    (void)unlink(path);
    return has;
}
