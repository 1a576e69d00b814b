/* fault_disk_names.c - names of files, as the system has them and as the device has them. */
#include "tests/support/fault_disk_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct disk_state disk = { .lock = PTHREAD_MUTEX_INITIALIZER };
_Thread_local bool disk_inside;

_Noreturn void disk_give_up(const char *why)
{
    fprintf(stderr, "fault_disk: %s\n", why);
    _exit(99);
}

int disk_stat(int fd, struct stat *st)
{
    return (int)syscall(SYS_fstat, fd, st);
}

/* ---- files and their names now */

static struct disk_bytes read_whole(const char *path)
{
    struct disk_bytes b = { NULL, 0 };
    struct stat st;
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return b;
    if (disk_stat(fd, &st) == 0 && st.st_size > 0) {
        b.at = malloc((size_t)st.st_size);
        while (b.at && b.n < (size_t)st.st_size) {
            const ssize_t got =
                syscall(SYS_pread64, fd, b.at + b.n, (size_t)st.st_size - b.n, (off_t)b.n);
            if (got <= 0)
                break;
            b.n += (size_t)got;
        }
    }
    (void)syscall(SYS_close, fd);
    return b;
}

int disk_name_of(const char *path)
{
    for (size_t i = 0; i < disk.n_names; i++)
        if (strcmp(disk.names[i].path, path) == 0)
            return (int)i;
    if (disk.n_names == DISK_NAMES_MOST)
        disk_give_up("too many names");
    disk.names[disk.n_names] = (struct disk_name){ strdup(path), -1, -1 };
    return (int)disk.n_names++;
}

int disk_file_of(ino_t ino)
{
    for (size_t i = 0; i < disk.n_files; i++)
        if (disk.files[i].ino == ino && disk.files[i].names > 0)
            return (int)i;
    return -1;
}

static int new_file(ino_t ino)
{
    if (disk.n_files == DISK_FILES_MOST)
        disk_give_up("too many files");
    disk.files[disk.n_files] = (struct disk_file){ .ino = ino };
    return (int)disk.n_files++;
}

const char *disk_path_of(int file)
{
    for (size_t i = 0; i < disk.n_names; i++)
        if (disk.names[i].now == file)
            return disk.names[i].path;
    return NULL;
}

struct disk_bytes disk_contents(int file)
{
    const char *path = disk_path_of(file);
    struct disk_bytes b = { NULL, 0 };

    if (path)
        return read_whole(path);
    b.at = malloc(disk.files[file].gone.n + 1);
    if (b.at && disk.files[file].gone.n)
        memcpy(b.at, disk.files[file].gone.at, disk.files[file].gone.n);
    b.n = disk.files[file].gone.n;
    return b;
}

void disk_change(int name, int file)
{
    struct disk_name *n = &disk.names[name];

    if (disk.n_changes == DISK_CHANGES_MOST)
        disk_give_up("too many changes of names");
    disk.changes[disk.n_changes++] = (struct disk_change){ disk.changing_calls, name, file };
    if (n->now >= 0)
        disk.files[n->now].names--;
    if (file >= 0)
        disk.files[file].names++;
    n->now = file;
}

void disk_keep_contents(const char *path)
{
    const int name = disk_name_of(path), file = disk.names[name].now;

    if (file >= 0 && disk.files[file].names == 1) {
        free(disk.files[file].gone.at);
        disk.files[file].gone = read_whole(path);
    }
}

/* Files that are there, and names that are new or have another file. */
static void scan_folder(const char *dir, bool *seen)
{
    char path[PATH_MAX];
    struct stat st;
    DIR *d = opendir(dir);

    for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            snprintf(path, sizeof path, "%s/%s", dir, e->d_name) >= (int)sizeof path ||
            lstat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            scan_folder(path, seen);
            continue;
        }
        const int name = disk_name_of(path), now = disk.names[name].now;
        seen[name] = true;
        if (now >= 0 && disk.files[now].ino == st.st_ino)
            continue;
        const int file = disk_file_of(st.st_ino);
        disk.changing_calls++;
        disk_change(name, file >= 0 ? file : new_file(st.st_ino));
    }
    if (d)
        (void)closedir(d);
}

void disk_reconcile(void)
{
    static bool seen[DISK_NAMES_MOST];

    memset(seen, 0, sizeof seen);
    scan_folder(disk.root, seen);
    for (size_t i = 0; i < disk.n_names; i++)
        if (!seen[i] && disk.names[i].now >= 0) {
            disk.changing_calls++;
            disk_change((int)i, -1);
        }
}

/* ---- names on the device */

static void apply(size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        disk.names[disk.changes[i].name].device = disk.changes[i].file;
}

void disk_apply_changes(size_t n)
{
    apply(0, n);
}

static bool in_folder(const char *path, const char *dir)
{
    const size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

void disk_sync_folder(const char *dir)
{
    size_t kept = 0;

    for (size_t i = 0; i < disk.n_changes;) {
        size_t end = i;
        bool here = false;
        for (; end < disk.n_changes && disk.changes[end].call == disk.changes[i].call; end++)
            here = here || in_folder(disk.names[disk.changes[end].name].path, dir);
        if (here)
            apply(i, end);
        else
            while (i < end)
                disk.changes[kept++] = disk.changes[i++];
        i = end;
    }
    disk.n_changes = kept;
}
