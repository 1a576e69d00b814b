/* stray.c - a method that leaves things outside its folder: a process in a session of its own,
 * files in /tmp, in memory and in /dev/shm. `what` is a sum of flags. It returns no answers. */
#define _GNU_SOURCE /* memfd_create */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/core/index.h"

enum what {
    ORPHAN = 1,
    TMP_FILE = 2,
    MEMORY_FILE = 4,
    SHM_FILE = 8,
    HANGS = 16,
    CLOSED_FILE = 32,
    LARGE_FILE = 64,
    SMALL_FILE = 128
};

struct stray_params {
    int64_t what, seconds;
};

static const struct param params[] = {
    PARAM_INT(struct stray_params, what, 0, 0, 255, "what is left outside"),
    PARAM_INT(struct stray_params, seconds, 60, 1, 1 << 30, "how long a process that is left runs"),
    PARAM_END
};
static const struct index_space spaces[] = { { INDEX_F32, INDEX_L2SQ }, INDEX_SPACES_END };

struct stray {
    struct index base;
    struct stray_params params;
};

/* As daemon() does it: the process has no parent, group or session of the cell's. */
static void leave_orphan(int64_t seconds)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%ld", (long)seconds);
    const pid_t between = fork();

    if (between == 0) {
        (void)setsid();
        if (fork() == 0) {
            (void)signal(SIGTERM, SIG_IGN);
            (void)!chdir("/");
            (void)execlp("sleep", "sleep", text, (char *)NULL);
        }
        _exit(0);
    }
}

static void leave_file(const char *folder, bool open_too)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/driftline-stray-%ld-%s", folder, (long)getpid(),
                   open_too ? "open" : "closed");
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    (void)!write(fd, "vectors", 7);
    if (!open_too)
        (void)close(fd);
}

/* Leaves a closed file whose name does not identify its process. */
static void leave_unnamed(const char *kind, off_t bytes)
{
    char path[128];

    (void)snprintf(path, sizeof path, "/dev/shm/driftline-stray-%s-XXXXXX", kind);
    const int fd = mkstemp(path);
    (void)!ftruncate(fd, bytes);
    (void)close(fd);
}

static void leave_memory(void)
{
    const int fd = memfd_create("driftline-stray", 0);

    (void)!ftruncate(fd, 4096);
    char *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (bytes != MAP_FAILED)
        bytes[0] = 1;
    (void)close(fd);
}

static int create(struct index **out, const struct index_env *env, const void *p)
{
    struct stray *s = calloc(1, sizeof *s);

    if (!s)
        return ERR_NO_MEMORY;
    s->base.env = *env;
    s->params = *(const struct stray_params *)p;
    *out = &s->base;
    return OK;
}

static void destroy(struct index *index)
{
    free(index);
}

static int insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    const struct stray *s = (const struct stray *)index;

    (void)ids;
    if (s->params.what & ORPHAN)
        leave_orphan(s->params.seconds);
    if (s->params.what & TMP_FILE)
        leave_file("/tmp", true);
    if (s->params.what & MEMORY_FILE)
        leave_memory();
    if (s->params.what & SHM_FILE)
        leave_file("/dev/shm", true);
    if (s->params.what & CLOSED_FILE)
        leave_file("/tmp", false);
    if (s->params.what & LARGE_FILE)
        leave_unnamed("large", 1 << 20);
    if (s->params.what & SMALL_FILE)
        leave_unnamed("small", 1000);
    *done = v.n;
    return OK;
}

static int search(struct index *index, const struct search_request *q, struct search_result *r)
{
    const struct stray *s = (const struct stray *)index;

    while (s->params.what & HANGS)
        (void)pause();
    for (size_t i = 0; i < q->queries.n * q->k; i++) {
        r->ids[i] = INDEX_NO_ID;
        r->distances[i] = INFINITY;
    }
    return OK;
}

static const struct index_ops ops = {
    .abi = INDEX_ABI,
    .name = "stray",
    .summary = "leaves things outside its folder",
    .source = "a test",
    .spaces = spaces,
    .params = params,
    .params_bytes = sizeof(struct stray_params),
    .create = create,
    .destroy = destroy,
    .insert = insert,
    .search = search,
};

const struct index_ops *driftline_plugin(void);
const struct index_ops *driftline_plugin(void)
{
    return &ops;
}
