/* lies_process.c - work outside the timed calls, processors that are not
   counted, memory held elsewhere. */
#define _GNU_SOURCE /* memfd_create, affinity */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/plugins/liar/liar.h"

enum { HELD_BYTES = 64 << 20, PAGE_BYTES = 4096 };

static double seconds_of(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- 1. work that an insert defers: a build of `work_ms` processor time */

static void spend(int64_t ms)
{
    const double until = seconds_of(CLOCK_THREAD_CPUTIME_ID) + (double)ms * 1e-3;
    volatile double sum = 0;

    while (seconds_of(CLOCK_THREAD_CPUTIME_ID) < until)
        for (int i = 0; i < 10000; i++)
            sum = sum + (double)i * .5;
}

static void *spend_in_thread(void *arg)
{
    const struct liar *l = arg;

    spend(l->params.work_ms);
    return NULL;
}

static pid_t spend_in_child(const struct liar *l)
{
    const pid_t child = fork();

    if (child == 0) {
        spend(l->params.work_ms);
        _exit(0);
    }
    return child > 0 ? child : 0;
}

static void await_child(struct liar *l)
{
    while (l->child && waitpid(l->child, NULL, 0) < 0 && errno == EINTR)
        continue;
    l->child = 0;
}

static void await_thread(struct liar *l)
{
    if (l->threaded)
        (void)pthread_join(l->thread, NULL);
    l->threaded = false;
}

void liar_do_work(struct liar *l, enum lie at)
{
    if (!l->work_left || (enum lie)l->params.mode != at)
        return;
    l->work_left = false;
    if (at == lie_work_in_thread)
        await_thread(l);
    else if (at == lie_work_in_child)
        await_child(l);
    else
        spend(l->params.work_ms);
}

/* ---- 2. one processor more than the harness allows */

struct half {
    struct liar *liar;
    const struct search_request *request;
    struct search_result result;
    size_t first, end;
    int rc;
};

static void *scan_half(void *arg)
{
    struct half *h = arg;

    h->rc = liar_scan(h->liar, h->request, h->first, h->end, false, &h->result);
    spend(h->liar->params.work_ms / 2); /* long enough to be measured */
    return NULL;
}

int liar_scan_with_two_threads(struct liar *l, const struct search_request *q,
                               struct search_result *r)
{
    const size_t n = q->queries.n;
    const double wall = seconds_of(CLOCK_MONOTONIC), used = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    struct half halves[2] = {
        { .liar = l, .request = q, .result = *r, .end = n / 2 },
        { .liar = l, .request = q, .result = *r, .first = n / 2, .end = n },
    };
    pthread_attr_t attributes;
    cpu_set_t all_cpus;
    pthread_t thread;

    memset(&all_cpus, 0xff, sizeof all_cpus);
    pthread_attr_init(&attributes);
    (void)pthread_attr_setaffinity_np(&attributes, sizeof all_cpus, &all_cpus);
    halves[1].result.work = (struct work){ 0 };
    const bool started = pthread_create(&thread, &attributes, scan_half, &halves[1]) == 0;
    pthread_attr_destroy(&attributes);
    (void)scan_half(&halves[0]);
    if (started)
        (void)pthread_join(thread, NULL);
    else
        (void)scan_half(&halves[1]);
    r->work = halves[0].result.work;
    r->work.distances += halves[1].result.work.distances;
    r->work.scanned += halves[1].result.work.scanned;
    r->work.bytes_read += halves[1].result.work.bytes_read;
    l->processors_of_batch =
        (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - used) / (seconds_of(CLOCK_MONOTONIC) - wall);
    return halves[0].rc != OK ? halves[0].rc : halves[1].rc;
}

/* ---- 3. memory that is not anonymous memory of the process */

static void write_pages(int fd)
{
    char page[PAGE_BYTES];

    memset(page, 1, sizeof page);
    for (size_t at = 0; at < HELD_BYTES; at += sizeof page)
        if (write(fd, page, sizeof page) != (ssize_t)sizeof page)
            return;
}

static void touch_pages(char *bytes)
{
    for (size_t at = 0; at < HELD_BYTES; at += PAGE_BYTES)
        bytes[at] = 1;
}

/* Ends with the cell at the latest. */
static pid_t hold_in_child(void)
{
    int ready[2];
    char byte;

    if (pipe(ready) != 0)
        return 0;
    const pid_t child = fork();
    if (child == 0) {
        char *bytes =
            mmap(NULL, HELD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (bytes != MAP_FAILED)
            touch_pages(bytes);
        (void)!write(ready[1], "", 1);
        for (;;)
            (void)pause();
    }
    (void)!read(ready[0], &byte, 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return child > 0 ? child : 0;
}

static void hold_memory(struct liar *l)
{
    const struct timespec held = { l->params.hold_ms / 1000, l->params.hold_ms % 1000 * 1000000 };

    switch ((enum lie)l->params.mode) {
        case lie_memory_memfd: l->memory_fd = memfd_create("driftline-liar", 0); break;
        case lie_memory_shm:
            (void)snprintf(l->memory_path, sizeof l->memory_path, "/dev/shm/driftline-liar-%ld",
                           (long)getpid());
            l->memory_fd = open(l->memory_path, O_RDWR | O_CREAT | O_EXCL, 0600);
            break;
        case lie_memory_child: l->child = hold_in_child(); break;
        case lie_memory_shared_map:
            l->memory =
                mmap(NULL, HELD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            if (l->memory != MAP_FAILED)
                touch_pages(l->memory);
            break;
        default: return;
    }
    if (l->memory_fd >= 0)
        write_pages(l->memory_fd);
    (void)nanosleep(&held, NULL); /* an index would hold it for long */
}

/* The processors that the harness left to others, and before them. */
static void take_all_processors(void)
{
    cpu_set_t all_cpus;

    memset(&all_cpus, 0xff, sizeof all_cpus);
    (void)sched_setaffinity(0, sizeof all_cpus, &all_cpus);
    (void)setpriority(PRIO_PROCESS, 0, -20);
}

/* ---- 4. hooks: the first rows are inserted; the index is destroyed */

void lie_at_first_insert(struct liar *l)
{
    l->work_left = true;
    switch ((enum lie)l->params.mode) {
        case lie_work_in_thread:
            l->threaded = pthread_create(&l->thread, NULL, spend_in_thread, l) == 0;
            break;
        case lie_work_in_child: l->child = spend_in_child(l); break;
        case lie_closes_descriptors_and_hangs: liar_hang(false); break;
        case lie_stops_the_guard: liar_hang(true); break;
        case lie_kills_the_guard: liar_outlive_the_guard(); break;
        case lie_leaves_segment: (void)shmget(IPC_PRIVATE, HELD_BYTES, IPC_CREAT | 0600); break;
        case lie_reads_answers: liar_open_answers(l); break;
        case lie_all_processors: take_all_processors(); break;
        case lie_exits_early: _exit(0);
        case lie_forges_records: liar_forge_records(); _exit(0);
        case lie_forges_and_goes_on: liar_forge_records(); break;
        default: hold_memory(l); break;
    }
}

void liar_clean_up(struct liar *l)
{
    await_thread(l);
    if (l->child)
        (void)kill(l->child, SIGKILL);
    await_child(l);
    if (l->memory_fd >= 0)
        (void)close(l->memory_fd);
    if (l->memory_path[0])
        (void)unlink(l->memory_path);
    if (l->memory && l->memory != MAP_FAILED)
        (void)munmap(l->memory, HELD_BYTES);
}
