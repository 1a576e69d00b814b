/* memory.c - see memory.h. */
#define _GNU_SOURCE /* madvise */
#include "src/run/measure/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
    char text[4096];
    size_t n;

    *out = (struct resident){ 0 };
    if (!proc_read((pid_t)pid, "status", text, sizeof text, &n))
        return false;
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
    (void)snprintf(path, sizeof path, "/proc/%ld/fd", pid ? pid : (long)getpid());
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

enum { MAPPINGS_MAX = 4096, LINE_BYTES = 512 };

/* The address ranges of a process, in order; at most MAPPINGS_MAX. */
struct mappings {
    uint64_t from[MAPPINGS_MAX], to[MAPPINGS_MAX];
    size_t n;
};

static FILE *open_proc(long pid, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
    return fopen(path, "re");
}

static void read_mappings(long pid, struct mappings *m)
{
    FILE *maps = open_proc(pid, "maps");
    char line[LINE_BYTES];

    m->n = 0;
    while (maps && m->n < MAPPINGS_MAX && fgets(line, sizeof line, maps))
        m->n += sscanf(line, "%" SCNx64 "-%" SCNx64, &m->from[m->n], &m->to[m->n]) == 2;
    if (maps)
        (void)fclose(maps);
}

static bool holds(const struct mappings *m, uint64_t from, uint64_t to)
{
    size_t low = 0, high = m->n; /* the first range that ends after `from` */

    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (m->to[middle] <= from)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->n && m->from[low] < to;
}

/* Pages that a process shares with `parent` since fork() are counted there. They are in mappings
   that both have. Memory elsewhere that is in no file, or in a removed one, may be shared with other
   children: Pss has this process' part of it. */
static uint64_t own_bytes(long pid, const struct mappings *parent)
{
    FILE *smaps = open_proc(pid, "smaps");
    char line[LINE_BYTES];
    uint64_t bytes = 0, from, to;
    unsigned long file;
    bool apart = false;

    while (smaps && fgets(line, sizeof line, smaps))
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %lu", &from, &to, &file) == 3)
            apart = (file == 0 || strstr(line, "(deleted)")) && !holds(parent, from, to);
        else if (!apart)
            bytes += field_kib(line, "Private_Dirty:") + field_kib(line, "Private_Clean:");
        else if (strncmp(line, "Pss:", 4) == 0)
            bytes += field_kib(line, "Pss:");
    if (smaps)
        (void)fclose(smaps);
    return bytes;
}

uint64_t memory_others(long root, long but)
{
    enum { PROCESSES_MAX = 256 };
    pid_t pids[PROCESSES_MAX];
    size_t n = proc_list((pid_t)root, pids, PROCESSES_MAX);
    struct mappings *parent = NULL;
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++) {
        n += proc_list(pids[i], pids + n, PROCESSES_MAX - n);
        if (pids[i] == but)
            continue;
        if (!parent && (parent = malloc(sizeof *parent)))
            read_mappings(but, parent);
        if (parent)
            bytes += own_bytes(pids[i], parent);
    }
    free(parent);
    return bytes;
}

uint64_t memory_resolution(void)
{
    enum { LARGE_PAGE = 2 << 20, LATE_PAGES = 64 };
    char text[4096];
    struct resident now;
    size_t n;

    if (proc_read(0, "smaps_rollup", text, sizeof text, &n) &&
        field_kib(text, "AnonHugePages:") > 0)
        return LARGE_PAGE;
    (void)memory_resident_read(0, &now);
    return (uint64_t)LATE_PAGES * (uint64_t)sysconf(_SC_PAGESIZE) * (now.threads + 1);
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
