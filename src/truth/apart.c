/* apart.c - see apart.h. The child writes a file in memory that consists of 64-bit words:
 *
 *     seconds, gflops, number of notes, for each note { bytes, string padded }
 *     for each operation: n_queries, k, available, number of ids, whether it has starts,
 *                         whether it is of a part, [n_queries + 1 starts], ids,
 *                         distances (32-bit, padded), [exact distances, 2 words of key] */
#define _GNU_SOURCE /* memfd_create */
#include "src/truth/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/core/mem.h"
#include "src/core/parallel.h"

/* ---- 1. the child */

struct teller {
    int progress; /* a pipe to the parent */
};

static void tell_progress(void *to, double share)
{
    const struct teller *t = to;

    (void)!write(t->progress, &share, sizeof share);
}

static void put_words(FILE *out, const void *words, size_t bytes)
{
    static const char padding[8];

    (void)fwrite(words, 1, bytes, out);
    (void)fwrite(padding, 1, (8 - bytes % 8) % 8, out);
}

static void put_word(FILE *out, uint64_t word)
{
    put_words(out, &word, sizeof word);
}

static size_t ids_of(const struct truth *t)
{
    return t->starts ? (size_t)t->starts[t->n_queries] : t->n_queries * t->k;
}

static void put_truth(FILE *out, const struct truth *t)
{
    const size_t n = t->ids ? ids_of(t) : 0;

    put_word(out, t->n_queries);
    put_word(out, t->k);
    put_word(out, t->available);
    put_word(out, n);
    put_word(out, t->starts != NULL);
    put_word(out, t->exact != NULL);
    if (t->starts)
        put_words(out, t->starts, (t->n_queries + 1) * sizeof *t->starts);
    put_words(out, t->ids, n * sizeof *t->ids);
    put_words(out, t->distances, n * sizeof *t->distances);
    if (t->exact) {
        put_words(out, t->exact, n * sizeof *t->exact);
        put_words(out, t->key, sizeof t->key);
    }
}

static bool put_oracle(int fd, const struct oracle *o)
{
    FILE *out = fdopen(fd, "w");

    if (!out)
        return false;
    put_words(out, &o->seconds, sizeof o->seconds);
    put_words(out, &o->gflops, sizeof o->gflops);
    put_word(out, o->n_notes);
    for (size_t i = 0; i < o->n_notes; i++) {
        put_word(out, strlen(o->notes[i]) + 1);
        put_words(out, o->notes[i], strlen(o->notes[i]) + 1);
    }
    for (size_t i = 0; i < o->n; i++)
        put_truth(out, &o->truths[i]);
    return fflush(out) == 0 && !ferror(out);
}

struct order {
    const struct op_list *list;
    const struct oracle_env *env;
    int result, progress, errors;
    pid_t parent;
};

/* Exits with 0, or sends the error and exits with 1. */
static _Noreturn void compute(const struct order *order)
{
    struct teller teller = { order->progress };
    struct error err = { 0 };
    struct oracle oracle = { 0 };

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != order->parent)
        _exit(1);
    struct oracle_env env = *order->env;
    env.pool = pool_create(env.threads);
    env.progress = tell_progress;
    env.to = &teller;
    int rc =
        env.pool ? OK : fail(&err, ERR_NO_MEMORY, "truth: cannot start %zu threads", env.threads);
    if (rc == OK)
        rc = oracle_make(&oracle, order->list, &env, &err);
    if (rc == OK && !put_oracle(order->result, &oracle))
        rc = fail_errno(&err, ERR_IO, "truth: cannot send it to the harness process");
    if (rc != OK)
        (void)!write(order->errors, &err, sizeof err);
    _exit(rc != OK);
}

/* ---- 2. the parent */

struct reader {
    const uint64_t *words;
    size_t n, at;
    bool past; /* words past the end were asked for */
};

/* A pointer to the next words in the mapped file; NULL past its end. */
static const void *take(struct reader *r, size_t bytes)
{
    const size_t words = (bytes + 7) / 8;

    r->past |= words > r->n - r->at;
    if (r->past)
        return NULL;
    r->at += words;
    return r->words + r->at - words;
}

static uint64_t take_word(struct reader *r)
{
    const uint64_t *word = take(r, sizeof *word);

    return word ? *word : 0;
}

static bool take_truth(struct reader *r, struct truth *t)
{
    t->n_queries = (size_t)take_word(r);
    t->k = (size_t)take_word(r);
    t->available = (size_t)take_word(r);
    const size_t n = (size_t)take_word(r);
    const bool starts = take_word(r) != 0, part = take_word(r) != 0;

    /* The casts remove const although the mapping is read-only: no caller writes to a truth. */
    if (starts)
        t->starts = (uint64_t *)(uintptr_t)take(r, (t->n_queries + 1) * sizeof *t->starts);
    t->ids = (uint64_t *)(uintptr_t)take(r, n * sizeof *t->ids);
    t->distances = (float *)(uintptr_t)take(r, n * sizeof *t->distances);
    if (!t->ids || !t->distances || (starts && !t->starts) || (t->n_queries && ids_of(t) != n))
        return false;
    if (!part)
        return true;
    t->exact = (double *)(uintptr_t)take(r, n * sizeof *t->exact);
    const uint64_t *key = take(r, sizeof t->key);
    if (key)
        memcpy(t->key, key, sizeof t->key);
    return t->exact && key;
}

static bool take_notes(struct reader *r, struct oracle *o)
{
    const size_t n = (size_t)take_word(r);

    for (size_t i = 0; i < n && i < sizeof o->notes / sizeof *o->notes; i++) {
        const char *text = take(r, (size_t)take_word(r));

        if (!text || !(o->notes[i] = mem_strdup(NULL, text)))
            return false;
        o->n_notes++;
    }
    return true;
}

int oracle_read_block(struct oracle *o, const struct op_list *list, struct error *err)
{
    struct reader r = { o->mapped, o->mapped_bytes / sizeof(uint64_t), 0, false };
    const double *numbers = take(&r, 2 * sizeof *numbers);

    o->truths = mem_zalloc(NULL, (list->n + 1) * sizeof *o->truths);
    if (!o->truths)
        return fail(err, ERR_NO_MEMORY, "truth: out of memory for %zu operations", list->n);
    o->n = list->n;
    bool whole = numbers && take_notes(&r, o);
    for (size_t i = 0; i < list->n && whole; i++)
        whole = take_truth(&r, &o->truths[i]);
    if (!whole || r.past)
        return fail(err, ERR_IO, "truth: the answers received are truncated");
    o->seconds = numbers[0];
    o->gflops = numbers[1];
    return OK;
}

/* fd -1: zeros, which can be written. */
static int map_block(struct oracle *o, int fd, size_t bytes, struct error *err)
{
    const int anonymous = fd < 0 ? MAP_ANONYMOUS : 0;

    o->mapped_bytes = bytes;
    o->mapped =
        mmap(NULL, bytes, PROT_READ | (fd < 0 ? PROT_WRITE : 0), MAP_SHARED | anonymous, fd, 0);
    if (o->mapped == MAP_FAILED) {
        o->mapped = NULL;
        return fail_errno(err, ERR_NO_MEMORY, "truth: %zu bytes cannot be mapped", bytes);
    }
    if (madvise(o->mapped, bytes, MADV_DONTFORK) != 0)
        return fail_errno(err, ERR_IO, "truth: cannot hide it from the methods' processes");
    return OK;
}

int oracle_make_block(struct oracle *o, size_t bytes, struct error *err)
{
    *o = (struct oracle){ 0 };
    return map_block(o, -1, bytes, err);
}

static int read_oracle(struct oracle *o, const struct op_list *list, int fd, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || st.st_size == 0)
        return fail(err, ERR_IO, "truth: the process that computes it sent nothing");
    const int rc = map_block(o, fd, (size_t)st.st_size, err);
    return rc ? rc : oracle_read_block(o, list, err);
}

/* Reports the child's progress until it ends, and kills it after an interrupt.
   Returns its wait status. */
static int wait_for(pid_t child, int progress_fd, void (*progress)(void *to, double share),
                    void *to, const volatile int *interrupted)
{
    enum { POLL_MS = 50 };
    double share;
    int state = 0;

    for (;;) {
        struct pollfd fd = { progress_fd, POLLIN, 0 };

        if (poll(&fd, 1, POLL_MS) > 0) {
            const ssize_t n = read(progress_fd, &share, sizeof share);
            if (n == 0)
                break;
            if (n == (ssize_t)sizeof share && progress)
                progress(to, share);
        }
        if (interrupted && *interrupted)
            (void)kill(child, SIGKILL);
    }
    while (waitpid(child, &state, 0) < 0 && errno == EINTR)
        continue;
    return state;
}

struct ends {
    int progress[2], errors[2], result;
};

static void close_ends(struct ends *e)
{
    const int all[] = { e->progress[0], e->progress[1], e->errors[0], e->errors[1], e->result };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] >= 0)
            (void)close(all[i]);
}

static void close_one(int *fd)
{
    (void)close(*fd);
    *fd = -1;
}

static int outcome(struct oracle *o, const struct order *order, struct ends *ends, int state,
                   struct error *err)
{
    struct error why = { 0 };

    if (order->env->interrupted && *order->env->interrupted)
        return fail(err, ERR_INTERRUPTED, "interrupted");
    if (WIFSIGNALED(state))
        return fail(err, ERR_NO_MEMORY,
                    "truth: the process that computes it was ended by signal %d; signal 9 is most "
                    "often the system's, out of memory",
                    WTERMSIG(state));
    if (state == 0)
        return read_oracle(o, order->list, ends->result, err);
    if (read(ends->errors[0], &why, sizeof why) != (ssize_t)sizeof why || why.code == OK)
        return fail(err, ERR_IO, "truth: the process that computes it ended and sent no result");
    *err = why;
    return err->code;
}

int oracle_make_apart(struct oracle *oracle, const struct op_list *list,
                      const struct oracle_env *env, struct error *err)
{
    struct ends ends = { { -1, -1 }, { -1, -1 }, memfd_create("truth", MFD_CLOEXEC) };
    struct order order = { list, env, ends.result, -1, -1, getpid() };
    int rc;

    *oracle = (struct oracle){ 0 };
    if (ends.result < 0 || pipe2(ends.progress, O_CLOEXEC) != 0 ||
        pipe2(ends.errors, O_CLOEXEC) != 0) {
        rc = fail_errno(err, ERR_IO, "truth: cannot make a pipe to its process");
        close_ends(&ends);
        return rc;
    }
    for (size_t i = 0; i < env->n_merge; i++)
        if (env->merge[i].mapped)
            (void)madvise(env->merge[i].mapped, env->merge[i].mapped_bytes, MADV_DOFORK);
    order.progress = ends.progress[1];
    order.errors = ends.errors[1];
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        compute(&order);
    if (child < 0) {
        rc = fail_errno(err, ERR_IO, "truth: cannot fork a process for it");
    } else {
        close_one(&ends.progress[1]);
        close_one(&ends.errors[1]);
        rc = outcome(oracle, &order, &ends,
                     wait_for(child, ends.progress[0], env->progress, env->to, env->interrupted),
                     err);
    }
    close_ends(&ends);
    if (rc != OK)
        oracle_free(oracle);
    return rc;
}
