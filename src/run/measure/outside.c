/* outside.c - see outside.h. */
#define _GNU_SOURCE
#include "src/run/measure/outside.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/quote.h"
#include "src/run/measure/folder.h"
#include "src/run/measure/proc.h"

enum { PROCESSES_MAX = 1 << 16, LARGE_BYTES = 1 << 20 };

/* ---- 1. files that this process can write to */

/* What Open MPI maps in a process that has ranks; it holds no rows. */
static bool is_of_mpi(const char *name)
{
    return strncmp(name, "/dev/shm/open_mpi.", 18) == 0 ||
           (strstr(name, "/ompi.") && strstr(name, "/pmix_dstor_"));
}

/* The channels to a GPU, whose memory the method counts itself. */
static bool is_of_gpu(const char *name)
{
    struct stat st;
    return strncmp(name, "/dev/nvidia", 11) == 0 && stat(name, &st) == 0 && S_ISCHR(st.st_mode);
}

static void add(json_t *names, const char *name)
{
    json_t *plain = is_of_mpi(name) || is_of_gpu(name) ? NULL : quote_json(name);

    if (!plain)
        return;
    (void)json_object_set_new(names, json_string_value(plain), json_true());
    json_decref(plain);
}

static void add_open(json_t *names)
{
    DIR *fds = opendir("/proc/self/fd");
    char target[PATH_MAX];

    for (struct dirent *e; fds && (e = readdir(fds));) {
        const int fd = (int)strtol(e->d_name, NULL, 10);
        const ssize_t n = readlinkat(dirfd(fds), e->d_name, target, sizeof target - 1);
        struct stat st;

        if (n <= 0 || target[0] != '/' || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
            (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
            continue;
        target[n] = '\0';
        add(names, target);
    }
    if (fds)
        (void)closedir(fds);
}

/* Shared memory without a name does not count as a file: anonymous memory, and that between the
   method `external` and its client. It is measured (memory.h). */
static void add_mapped(json_t *names)
{
    static const char anonymous[] = "/dev/zero (deleted)";
    static const char external[] = "/memfd:driftline-external (deleted)";
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[PATH_MAX + 128], permissions[8];
    int at = 0;

    while (maps && fgets(line, sizeof line, maps)) {
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%*s %7s %*s %*s %*s %n", permissions, &at) == 1 &&
            permissions[1] == 'w' && permissions[3] == 's' && line[at] == '/' &&
            strcmp(line + at, anonymous) != 0 && strcmp(line + at, external) != 0)
            add(names, line + at);
    }
    if (maps)
        (void)fclose(maps);
}

json_t *outside_writable(void)
{
    json_t *names = json_object();

    add_open(names);
    add_mapped(names);
    return names;
}

json_t *outside_new(json_t *known, const char *dir)
{
    json_t *now = outside_writable(), *found = json_array(), *value;
    const size_t length = strlen(dir);
    const char *name;

    json_object_foreach(now, name, value) {
        if (json_object_get(known, name))
            continue;
        (void)json_object_set(known, name, value);
        if (strncmp(name, dir, length) != 0 || name[length] != '/')
            (void)json_array_append_new(found, json_string(name));
    }
    json_decref(now);
    return found;
}

/* ---- 2. folders of temporary files */

static void add_entries(json_t *paths, const char *dir)
{
    DIR *all = dir && *dir ? opendir(dir) : NULL;
    char path[PATH_MAX];
    struct stat st;

    for (struct dirent *e; all && (e = readdir(all));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            fstatat(dirfd(all), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_uid == geteuid() &&
            snprintf(path, sizeof path, "%s/%s", dir, e->d_name) < (int)sizeof path)
            add(paths, path);
    if (all)
        (void)closedir(all);
}

json_t *outside_temporary(void)
{
    json_t *paths = json_object();
    const char *tmp = getenv("TMPDIR");

    add_entries(paths, "/tmp");
    add_entries(paths, "/dev/shm");
    if (tmp && strcmp(tmp, "/tmp") != 0)
        add_entries(paths, tmp);
    return paths;
}

/* Whether a program has the path open: not the cell, because its processes have ended. */
static bool is_held(const char *path, const pid_t *pids, size_t n)
{
    char real[PATH_MAX];

    for (size_t i = 0; realpath(path, real) && i < n; i++)
        if (proc_holds(pids[i], real, true))
            return true;
    return false;
}

/* Whether the file name contains the pid: "sem.4711", "name-4711-x". */
static bool names_process(const char *path, pid_t pid)
{
    char number[24];
    const size_t length = (size_t)snprintf(number, sizeof number, "%ld", (long)pid);

    for (const char *at = strrchr(path, '/'); (at = strstr(at + 1, number)) != NULL;)
        if (!isdigit((unsigned char)at[-1]) && !isdigit((unsigned char)at[length]))
            return true;
    return false;
}

static bool is_large(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 &&
           (S_ISDIR(st.st_mode) ? folder_bytes(path) : (uint64_t)st.st_size) >= LARGE_BYTES;
}

json_t *outside_left(const json_t *before, pid_t pid)
{
    json_t *now = outside_temporary(), *left = json_array(), *value;
    pid_t *pids = NULL;
    size_t n = 0;
    const char *path;

    json_object_foreach(now, path, value) {
        if (json_object_get(before, path) || !(names_process(path, pid) || is_large(path)))
            continue;
        if (!pids && (pids = malloc(PROCESSES_MAX * sizeof *pids)))
            n = proc_list(0, pids, PROCESSES_MAX);
        if (!is_held(path, pids, n))
            (void)json_array_append_new(left, json_string(path));
    }
    free(pids);
    json_decref(now);
    return left;
}

json_t *outside_end_segments(pid_t pid)
{
    FILE *all = fopen("/proc/sysvipc/shm", "r");
    json_t *names = json_array();
    char line[400];

    while (all && fgets(line, sizeof line, all)) {
        unsigned long long bytes;
        long key, maker;
        int id;

        if (sscanf(line, "%ld %d %*s %llu %ld", &key, &id, &bytes, &maker) == 4 &&
            maker == (long)pid && shmctl(id, IPC_RMID, NULL) == 0)
            (void)json_array_append_new(
                names,
                json_sprintf("shared memory segment %d of %llu bytes, now removed", id, bytes));
    }
    if (all)
        (void)fclose(all);
    return names;
}
