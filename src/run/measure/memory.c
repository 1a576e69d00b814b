/* memory.c - see memory.h. */
#define _GNU_SOURCE /* madvise */
#include "src/run/measure/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/run/measure/proc.h"

static uint64_t field_kib(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

bool memory_resident_read(long pid, struct resident *out)
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

uint64_t memory_shared_files_bytes(void)
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

/* Reads a file of /proc as a string; false if it cannot be read. */
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

uint64_t memory_others(long root, long but)
{
    enum { PROCESSES_MAX = 256 };
    pid_t pids[PROCESSES_MAX];
    size_t n = proc_list((pid_t)root, pids, PROCESSES_MAX);
    uint64_t bytes = 0;
    char text[4096];

    for (size_t i = 0; i < n; i++) {
        n += proc_list(pids[i], pids + n, PROCESSES_MAX - n);
        /* Pages shared with the parent since fork() are counted in the parent. */
        if (pids[i] != but && read_proc(pids[i], "smaps_rollup", text, sizeof text))
            bytes += field_kib(text, "Private_Dirty:") + field_kib(text, "Private_Clean:");
    }
    return bytes;
}

uint64_t memory_resolution(void)
{
    enum { LARGE_PAGE = 2 << 20, LATE_PAGES = 64 };
    char text[4096];

    if (read_proc(getpid(), "smaps_rollup", text, sizeof text) &&
        field_kib(text, "AnonHugePages:") > 0)
        return LARGE_PAGE;
    return (uint64_t)LATE_PAGES * (uint64_t)sysconf(_SC_PAGESIZE) * (proc_threads() + 1);
}

void memory_reset_peak(void)
{
    const int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    /* Some containers refuse this; the peak then counts from the start of the process. */
    const ssize_t n = write(fd, "5", 1);
    (void)n;
    (void)close(fd);
}

void memory_prefault(size_t bytes)
{
    const long page = sysconf(_SC_PAGESIZE), spare = sysconf(_SC_AVPHYS_PAGES) / 4;

    if (page <= 0 || spare <= 0)
        return;
    if (bytes / (size_t)page > (size_t)spare)
        bytes = (size_t)spare * (size_t)page;
    const pid_t child = fork();
    if (child == 0) {
        char *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            _exit(0);
        (void)madvise(pages, bytes, MADV_HUGEPAGE); /* hosts reclaim memory in large pages */
        for (size_t at = 0; at < bytes; at += (size_t)page)
            pages[at] = 1;
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}
