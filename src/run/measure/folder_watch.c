/* folder_watch.c - see folder_watch.h. */
#include "src/run/measure/folder_watch.h"

#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static bool ends_with(const char *name, const char *suffix)
{
    const size_t n = strlen(name), m = strlen(suffix);

    return n >= m && strcmp(name + n - m, suffix) == 0;
}

void folder_watch_begin(struct folder_watch *o, const char *folder, const char *suffix)
{
    *o = (struct folder_watch){ .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
                                .files = json_object() };
    DIR *dir = o->fd < 0 ? NULL : opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (ends_with(e->d_name, suffix))
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
