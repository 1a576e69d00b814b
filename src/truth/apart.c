/* apart.c - see apart.h. The child writes a file in memory that consists of 64-bit words:
 *
 *     seconds, gflops, number of notes, for each note { bytes, string padded }
 *     for each operation: n_queries, k, available, number of ids, whether it has starts,
 *                         [n_queries + 1 starts], ids, distances, 2 words of key */
#define _GNU_SOURCE /* memfd_create */
#include "src/truth/apart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/data/readers/child.h"

/* ---- 1. the child */

static void tell_progress(void *to, double share)
{
    const int *out = to;

    (void)!write(*out, &share, sizeof share);
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
    if (t->starts)
        put_words(out, t->starts, (t->n_queries + 1) * sizeof *t->starts);
    put_words(out, t->ids, n * sizeof *t->ids);
    put_words(out, t->distances, n * sizeof *t->distances);
    put_words(out, t->key, sizeof t->key);
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
    int result; /* a file in memory: the truths, or the error */
    struct child_process child;
};

/* Sends its progress to `out`. Exits with 1 after an error. */
static void compute(void *context, int out)
{
    const struct order *order = context;
    struct error err = { 0 };
    struct oracle oracle = { 0 };
    struct oracle_env env = *order->env;

    env.pool = pool_create(env.threads);
    env.progress = tell_progress;
    env.to = &out;
    int rc =
        env.pool ? OK : fail(&err, ERR_NO_MEMORY, "truth: cannot start %zu threads", env.threads);
    if (rc == OK)
        rc = oracle_make(&oracle, order->list, &env, &err);
    if (rc == OK && !put_oracle(order->result, &oracle))
        rc = fail_errno(&err, ERR_IO, "truth: cannot send it to the harness process");
    if (rc != OK)
        (void)!pwrite(order->result, &err, sizeof err, 0);
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
    const bool starts = take_word(r) != 0;

    /* The casts remove const although the mapping is read-only: no caller writes to a truth. */
    if (starts)
        t->starts = (uint64_t *)(uintptr_t)take(r, (t->n_queries + 1) * sizeof *t->starts);
    t->ids = (uint64_t *)(uintptr_t)take(r, n * sizeof *t->ids);
    t->distances = (double *)(uintptr_t)take(r, n * sizeof *t->distances);
    const uint64_t *key = take(r, sizeof t->key);
    if (!key || (starts && !t->starts) || (t->n_queries && ids_of(t) != n))
        return false;
    memcpy(t->key, key, sizeof t->key);
    return true;
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

/* Reports the child's progress. Ends it after an interrupt. */
static int watch(void *context)
{
    const struct order *order = context;
    const struct oracle_env *env = order->env;
    const size_t n = order->child.output_bytes / sizeof(double);
    double share;

    if (n > 0 && env->progress) {
        memcpy(&share, order->child.output + (n - 1) * sizeof share, sizeof share);
        env->progress(env->to, share);
    }
    return env->interrupted && *env->interrupted;
}

static int outcome(struct oracle *o, const struct order *order, int rc, const struct error *how,
                   struct error *err)
{
    const int state = order->child.status;
    struct error why = { 0 };

    if (order->env->interrupted && *order->env->interrupted)
        return fail(err, ERR_INTERRUPTED, "interrupted");
    if (rc == OK)
        return read_oracle(o, order->list, order->result, err);
    if (WIFSIGNALED(state))
        return fail(err, ERR_NO_MEMORY,
                    "truth: the process that computes it was ended by signal %d; signal 9 is most "
                    "often the system's, out of memory",
                    WTERMSIG(state));
    if (state == 0)
        return fail(err, how->code, "truth: the process that computes it %s", how->text);
    if (pread(order->result, &why, sizeof why, 0) != (ssize_t)sizeof why || why.code == OK)
        return fail(err, ERR_IO, "truth: the process that computes it ended and sent no result");
    *err = why;
    return err->code;
}

int oracle_make_apart(struct oracle *oracle, const struct op_list *list,
                      const struct oracle_env *env, struct error *err)
{
    struct order order = { list,
                           env,
                           memfd_create("truth", MFD_CLOEXEC),
                           { .work = compute, .context = &order, .tick = watch } };
    struct error how = { 0 };

    *oracle = (struct oracle){ 0 };
    if (order.result < 0)
        return fail_errno(err, ERR_IO, "truth: cannot make a file in memory for it");
    for (size_t i = 0; i < env->n_merge; i++)
        if (env->merge[i].mapped)
            (void)madvise(env->merge[i].mapped, env->merge[i].mapped_bytes, MADV_DOFORK);
    (void)fflush(NULL);
    int rc = child_run(&order.child, &how);
    rc = outcome(oracle, &order, rc, &how, err);
    mem_free(NULL, order.child.output);
    (void)close(order.result);
    if (rc != OK)
        oracle_free(oracle);
    return rc;
}
