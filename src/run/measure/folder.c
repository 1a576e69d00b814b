/* folder.c - see folder.h. */
#define _GNU_SOURCE /* madvise, sync_file_range */
#include "src/run/measure/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/path.h"

/* Calls act for every entry below path, for a folder after its contents. */
static void walk(const char *path, void (*act)(const char *path, const struct stat *, void *to),
                 void *to)
{
    DIR *folder = opendir(path);

    for (struct dirent *e; folder && (e = readdir(folder));) {
        char below[PATH_MAX];
        struct stat st;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= (int)sizeof below ||
            lstat(below, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode))
            walk(below, act, to);
        act(below, &st, to);
    }
    if (folder)
        (void)closedir(folder);
}

/* Calls act for every open file of this process that was removed; not for those that are memory. */
static void walk_removed(void (*act)(const char *path, const struct stat *, void *to), void *to)
{
    static const char memory[] = "/memfd:";
    DIR *open_files = opendir("/proc/self/fd");

    for (struct dirent *e; open_files && (e = readdir(open_files));) {
        char path[64], target[PATH_MAX];
        struct stat st;
        const ssize_t n = readlinkat(dirfd(open_files), e->d_name, target, sizeof target - 1);

        target[n > 0 ? n : 0] = '\0';
        (void)snprintf(path, sizeof path, "/proc/self/fd/%.20s", e->d_name);
        if (n > 0 && strncmp(target, memory, sizeof memory - 1) != 0 && stat(path, &st) == 0 &&
            S_ISREG(st.st_mode) && st.st_nlink == 0)
            act(path, &st, to);
    }
    if (open_files)
        (void)closedir(open_files);
}

static void add_size(const char *path, const struct stat *st, void *to)
{
    (void)path;
    if (S_ISREG(st->st_mode))
        *(uint64_t *)to += (uint64_t)st->st_size;
}

uint64_t folder_bytes(const char *path)
{
    uint64_t bytes = 0;

    walk(path, add_size, &bytes);
    return bytes;
}

static void uncache_one(const char *path, const struct stat *st, void *to)
{
    const int fd = S_ISREG(st->st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    (void)to;
    if (fd < 0)
        return;
    /* The kernel does not drop dirty pages. fdatasync() also empties the disk's own cache, which takes
       milliseconds for each file, even one without dirty pages. */
    if (sync_file_range(fd, 0, 0,
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                            SYNC_FILE_RANGE_WAIT_AFTER) != 0)
        (void)fdatasync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(fd);
}

/* The kernel does not drop mapped pages. Only shared mappings are unmapped here: their dirty pages
   belong to the file, so nothing is lost. */
static void unmap_pages(const char *path)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[PATH_MAX + 128], permissions[8];
    const size_t n = strlen(path);
    uintptr_t from, to;
    int at = 0;

    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s %*s %*s %*s %n", &from, &to, permissions,
                   &at) == 3 &&
            permissions[3] == 's' && strncmp(line + at, path, n) == 0 && line[at + (int)n] == '/')
            (void)madvise((void *)from, to - from, MADV_DONTNEED);
    if (maps)
        (void)fclose(maps);
}

void folder_uncache(const char *path)
{
    unmap_pages(path);
    walk(path, uncache_one, NULL);
    walk_removed(uncache_one, NULL);
}

struct pages {
    size_t cached, n;
};

static void count_cached(const char *path, const struct stat *st, void *to)
{
    struct pages *all = to;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t bytes = (size_t)st->st_size, n = (bytes + page - 1) / page;
    const int fd = S_ISREG(st->st_mode) && bytes > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    unsigned char *in = malloc(n);
    void *mapped = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (in && mapped != MAP_FAILED && mincore(mapped, bytes, in) == 0) {
        for (size_t i = 0; i < n; i++)
            all->cached += in[i] & 1;
        all->n += n;
    }
    if (mapped != MAP_FAILED)
        (void)munmap(mapped, bytes);
    free(in);
    (void)close(fd);
}

double folder_cached(const char *path)
{
    struct pages all = { 0 };

    walk(path, count_cached, &all);
    walk_removed(count_cached, &all);
    return all.n > 0 ? (double)all.cached / (double)all.n : NAN;
}

static void remove_one(const char *path, const struct stat *st, void *to)
{
    (void)st;
    (void)to;
    (void)remove(path);
}

void folder_remove(const char *path)
{
    walk(path, remove_one, NULL);
    (void)remove(path);
}

void folder_watch_begin(struct folder_watch *o, const char *folder, const char *suffix)
{
    *o = (struct folder_watch){ .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
                                .files = json_object() };
    DIR *dir = o->fd < 0 ? NULL : opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (path_ends(e->d_name, suffix))
            (void)json_object_set_new(o->files, e->d_name, json_false());
    if (dir)
        (void)closedir(dir);
    /* A new name of a file, or its move to another folder, may come before it is opened. */
    if (o->fd >= 0)
        (void)inotify_add_watch(o->fd, folder, IN_OPEN | IN_ATTRIB | IN_MOVED_FROM);
}

void folder_watch_end(struct folder_watch *o, json_t *names)
{
    _Alignas(struct inotify_event) char bytes[16384];
    const char *name;
    json_t *seen;

    for (ssize_t n; o->fd >= 0 && (n = read(o->fd, bytes, sizeof bytes)) > 0;)
        for (const char *at = bytes; at < bytes + n;) {
            const struct inotify_event *e = (const void *)at;

            if (e->len > 0 && json_object_get(o->files, e->name))
                (void)json_object_set_new(o->files, e->name, json_true());
            at += sizeof *e + e->len;
        }
    json_object_foreach(o->files, name, seen)
        if (json_is_true(seen))
            (void)json_array_append_new(names, json_string(name));
    if (o->fd >= 0)
        (void)close(o->fd);
    json_decref(o->files);
    *o = (struct folder_watch){ .fd = -1 };
}
