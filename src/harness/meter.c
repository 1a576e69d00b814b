/* meter.c - see meter.h. */
#define _GNU_SOURCE /* madvise, nftw's kin */
#include "meter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc.h"

static uint64_t field_kib(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

bool resident_read(long pid, struct resident *out)
{
    char path[64], text[4096];

    *out = (struct resident){ 0 };
    if (pid)
        (void)snprintf(path, sizeof path, "/proc/%ld/status", pid);
    else
        (void)snprintf(path, sizeof path, "/proc/self/status");
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    out->anonymous = field_kib(text, "RssAnon:");
    out->shared = field_kib(text, "RssShmem:");
    out->mapped = field_kib(text, "RssFile:");
    out->peak = field_kib(text, "VmHWM:");
    out->threads = (size_t)(field_kib(text, "Threads:") / 1024);
    return strstr(text, "RssAnon:") != NULL;
}

void memory_files_read(long pid, struct memory_files *out)
{
    static const char nameless[] = "/memfd:", named[] = "/dev/shm/";
    char path[64], target[sizeof named];
    struct stat st;

    *out = (struct memory_files){ 0 };
    if (pid)
        (void)snprintf(path, sizeof path, "/proc/%ld/fd", pid);
    else
        (void)snprintf(path, sizeof path, "/proc/self/fd");
    DIR *fds = opendir(path);
    for (struct dirent *e; fds && (e = readdir(fds));) {
        const ssize_t n = readlinkat(dirfd(fds), e->d_name, target, sizeof target - 1);

        target[n > 0 ? n : 0] = '\0';
        const bool is_nameless = strncmp(target, nameless, sizeof nameless - 1) == 0;
        if ((is_nameless || strncmp(target, named, sizeof named - 1) == 0) &&
            fstatat(dirfd(fds), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
            *(is_nameless ? &out->nameless : &out->named) += (uint64_t)st.st_blocks * 512;
    }
    if (fds)
        (void)closedir(fds);
}

uint64_t shared_files_bytes(void)
{
    DIR *all = opendir("/dev/shm");
    uint64_t bytes = 0;
    struct stat st;

    for (struct dirent *e; all && (e = readdir(all));)
        if (fstatat(dirfd(all), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_uid == geteuid())
            bytes += (uint64_t)st.st_blocks * 512;
    if (all)
        (void)closedir(all);
    return bytes;
}

/* A file of /proc as a string; false: it cannot be read. */
static bool read_proc(long pid, const char *name, char *text, size_t bytes)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, text, bytes - 1);
    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

uint64_t resident_others(long root, long but)
{
    enum { PROCESSES_MAX = 256 };
    pid_t pids[PROCESSES_MAX];
    size_t n = proc_list((pid_t)root, pids, PROCESSES_MAX);
    uint64_t bytes = 0;
    char text[4096];

    for (size_t i = 0; i < n; i++) {
        n += proc_list(pids[i], pids + n, PROCESSES_MAX - n);
        /* What it shares with its parent since their fork is counted there. */
        if (pids[i] != but && read_proc(pids[i], "smaps_rollup", text, sizeof text))
            bytes += field_kib(text, "Private_Dirty:") + field_kib(text, "Private_Clean:");
    }
    return bytes;
}

uint64_t resident_resolution(void)
{
    enum { LARGE_PAGE = 2 << 20, LATE_PAGES = 64 };
    char text[4096];

    if (read_proc(getpid(), "smaps_rollup", text, sizeof text) &&
        field_kib(text, "AnonHugePages:") > 0)
        return LARGE_PAGE;
    return (uint64_t)LATE_PAGES * (uint64_t)sysconf(_SC_PAGESIZE) * (proc_threads() + 1);
}

void resident_reset_peak(void)
{
    const int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    const ssize_t n =
        write(fd, "5", 1); /* refused in some containers: then the peak is since the start */
    (void)n;
    (void)close(fd);
}

void memory_warm(size_t bytes)
{
    const long page = sysconf(_SC_PAGESIZE), spare = sysconf(_SC_AVPHYS_PAGES) / 4;

    if (page <= 0 || spare <= 0)
        return;
    if (bytes / (size_t)page > (size_t)spare)
        bytes = (size_t)spare * (size_t)page;
    const pid_t child = fork();
    if (child == 0) {
        char *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room == MAP_FAILED)
            _exit(0);
        (void)madvise(room, bytes, MADV_HUGEPAGE); /* large pages are what a host takes away */
        for (size_t at = 0; at < bytes; at += (size_t)page)
            room[at] = 1;
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* Calls act on every entry below path, folders after what is in them. */
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
    (void)fdatasync(fd); /* unwritten pages are not forgotten */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(fd);
}

/* Pages in use by a mapping are not forgotten. A shared one is let go without losing anything: what was
   written to it is the file's. */
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
