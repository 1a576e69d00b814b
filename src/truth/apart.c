/* apart.c - see apart.h. The child writes a file in memory: its struct oracle, its truths, whose pointers
 * only say that there is an array, and of each truth the starts, the ids and the distances. */
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

static size_t ids_of(const struct truth *t)
{
    return !t->ids ? 0 : t->starts ? (size_t)t->starts[t->n_queries] : t->n_queries * t->k;
}

static bool put_oracle(int fd, const struct oracle *o)
{
    FILE *out = fdopen(fd, "w");

    if (!out)
        return false;
    (void)fwrite(o, sizeof *o, 1, out);
    (void)fwrite(o->truths, sizeof *o->truths, o->n, out);
    for (const struct truth *t = o->truths; t < o->truths + o->n; t++) {
        if (t->starts)
            (void)fwrite(t->starts, sizeof *t->starts, t->n_queries + 1, out);
        (void)fwrite(t->ids, sizeof *t->ids, ids_of(t), out);
        (void)fwrite(t->distances, sizeof *t->distances, ids_of(t), out);
    }
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
    const char *at, *end;
    bool past; /* bytes past the end were asked for */
};

/* The next n items in the mapped file; NULL past its end. The cast removes const although the mapping
   is read-only: no caller writes to a truth. */
static void *take(struct reader *r, size_t n, size_t bytes)
{
    const char *at = r->at;

    r->past |= n > (size_t)(r->end - r->at) / bytes;
    if (r->past)
        return NULL;
    r->at += n * bytes;
    return (void *)(uintptr_t)at;
}

int oracle_read_block(struct oracle *o, const struct op_list *list, struct error *err)
{
    struct reader r = { o->mapped, (const char *)o->mapped + o->mapped_bytes, false };
    const struct oracle *sent = take(&r, 1, sizeof *sent);
    const struct truth *truths = take(&r, list->n, sizeof *truths);

    o->n = list->n;
    o->truths = mem_array(NULL, o->n, sizeof *o->truths);
    if (!o->truths)
        return fail(err, ERR_NO_MEMORY, "truth: out of memory for %zu operations", list->n);
    r.past |= !r.past && sent->n != list->n;
    for (size_t i = 0; !r.past && i < o->n; i++) {
        struct truth *t = &o->truths[i];

        *t = truths[i];
        t->starts = t->starts ? take(&r, t->n_queries + 1, sizeof *t->starts) : NULL;
        const size_t n = r.past ? 0 : ids_of(t);
        t->ids = take(&r, n, sizeof *t->ids);
        t->distances = take(&r, n, sizeof *t->distances);
    }
    if (r.past)
        return fail(err, ERR_IO, "truth: the answers received are truncated");
    o->seconds = sent->seconds;
    o->gflops = sent->gflops;
    o->n_notes = sent->n_notes;
    memcpy(o->notes, sent->notes, sizeof o->notes);
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
