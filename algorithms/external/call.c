/* call.c - one call: the request into shared memory, the wait, the answer checked. */
#define _GNU_SOURCE
#include "algorithms/external/external.h"
#include "src/core/order.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A cell on one thread has one processor, which the client inherits. sched_yield() then passes it
   to the client in 1.2 us, a futex in 2.1 us, a socket in 3.5 us; a loop without a system call
   would keep it. After YIELDS, about 50 us, the call is a long one and the wait sleeps. */
enum { YIELDS = 100, SLICE_NS = 20000000, PINGS = 301 };

static const char *operation_name(uint64_t operation)
{
    static const char *const names[EXTERNAL_OPERATIONS] = {
        "ping", "create", "insert", "search", "delete", "save", "load", "count", "ids", "end",
    };
    return names[operation];
}

static long futex(_Atomic uint32_t *word, int operation, uint32_t value,
                  const struct timespec *wait)
{
    return syscall(SYS_futex, word, operation, value, wait, NULL, 0);
}

static int lose_late(struct external *x, const char *doing)
{
    return external_client_lose(x, "did not answer %s within %g s (timeout_s) and was killed",
                                doing, x->params.timeout_s);
}

/* The client reads `asked` after it sets client_sleeps, this function reads client_sleeps after it
   sets `asked`: so one of them sees the other. */
static int ring_memory(struct external *x)
{
    struct external_shared *shared = x->client.shared;
    atomic_store(&shared->asked, x->client.asked);
    if (atomic_load(&shared->client_sleeps))
        (void)futex(&shared->asked, FUTEX_WAKE, 1, NULL);
    return OK;
}

static int sleep_for_answer(struct external *x, const char *doing)
{
    struct external_client *c = &x->client;
    const struct timespec slice = { 0, SLICE_NS };
    if (!deadline_set(&c->deadline, c->timeout_us))
        return fail_errno(x->base.env.error, ERR_IO, "external: cannot set a time-out");
    for (;;) {
        const uint32_t seen = atomic_load(&c->shared->answered);
        if (seen == c->asked)
            return OK;
        atomic_store(&c->shared->harness_sleeps, 1);
        if (atomic_load(&c->shared->answered) == seen)
            (void)futex(&c->shared->answered, FUTEX_WAIT, seen, &slice);
        atomic_store(&c->shared->harness_sleeps, 0);
        if (atomic_load(&c->shared->answered) == c->asked)
            return OK;
        if (external_client_has_ended(c))
            return external_client_lose_silent(x, doing);
        if (deadline_passed(&c->deadline))
            return lose_late(x, doing);
    }
}

static int wait_memory(struct external *x, const char *doing)
{
    struct external_shared *shared = x->client.shared;
    for (int i = 0; i < YIELDS; i++) {
        if (atomic_load(&shared->answered) == x->client.asked)
            return OK;
        (void)sched_yield();
    }
    return sleep_for_answer(x, doing);
}

/* Nothing may wait in the socket before a call: each message of the client answers one. */
static int check_silence(struct external *x, const char *doing)
{
    char byte;
    const ssize_t n = recv(x->client.socket, &byte, 1, MSG_DONTWAIT);
    if (n > 0)
        return external_client_lose(x,
                                    "sent a message before %s that answers no call, and was "
                                    "killed",
                                    doing);
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? OK
                                                        : external_client_lose_silent(x, doing);
}

static int ring_socket(struct external *x, const char *doing)
{
    const char byte = 0;
    atomic_store(&x->client.shared->asked, x->client.asked);
    return send(x->client.socket, &byte, 1, MSG_NOSIGNAL) == 1
               ? OK
               : external_client_lose_silent(x, doing);
}

static int wait_socket(struct external *x, const char *doing)
{
    char byte;
    ssize_t n;
    do {
        n = recv(x->client.socket, &byte, 1, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return lose_late(x, doing);
    if (n <= 0)
        return external_client_lose_silent(x, doing);
    if (atomic_load(&x->client.shared->answered) != x->client.asked)
        return external_client_lose(x, "sent a message during %s, but no answer, and was killed",
                                    doing);
    return OK;
}

/* The client's message, without control characters. */
static void copy_text(struct external *x, char text[256])
{
    const volatile char *from = (const volatile char *)x->client.shared + EXTERNAL_TEXT_AT;
    size_t n = 0;
    for (; n < 255 && from[n]; n++) {
        const char c = from[n];
        text[n] = c < ' ' || c > '~' ? ' ' : c;
    }
    text[n] = '\0';
}

/* Each field is read once: the client may change it at any time. */
static int take_answer(struct external *x, const struct external_request *request,
                       struct external_answer *answer)
{
    const volatile struct external_answer *from = &x->client.shared->answer;
    const char *doing = operation_name(request->operation);
    static const int codes[] = { OK, ERR_BASELINE, ERR_UNSUPPORTED, ERR_NO_MEMORY };
    char text[256];
    answer->status = from->status;
    answer->done = from->done;
    answer->distances = from->distances;
    answer->bytes = from->bytes;
    if (answer->status >= EXTERNAL_STATUSES || answer->done > request->n)
        return external_client_lose(x,
                                    "answered %s of %llu with status %llu and count %llu, and was "
                                    "killed",
                                    doing, (unsigned long long)request->n,
                                    (unsigned long long)answer->status,
                                    (unsigned long long)answer->done);
    if (answer->status == EXTERNAL_OK)
        return OK;
    copy_text(x, text);
    return fail(x->base.env.error, codes[answer->status], "external: client \"%s\": %s: %s",
                x->client.name, doing, text[0] ? text : "no reason given");
}

int external_call(struct external *x, const struct external_request *request,
                  struct external_answer *answer)
{
    struct external_client *c = &x->client;
    const char *doing = operation_name(request->operation);
    const bool by_memory = c->capabilities & EXTERNAL_BY_MEMORY;
    /* These make no system call but a yield if the client answers by memory and is fast. */
    const bool fast =
        by_memory && (request->operation == EXTERNAL_SEARCH || request->operation == EXTERNAL_PING);
    *answer = (struct external_answer){ 0 };
    if (c->lost[0] || c->pid == 0)
        return fail(x->base.env.error, ERR_BASELINE, "external: client \"%s\" %s", c->name,
                    c->lost[0] ? c->lost : "is not running");
    int rc = fast ? OK : check_silence(x, doing);
    if (rc != OK)
        return rc;
    c->asked++;
    c->shared->request = *request;
    c->shared->answer = (struct external_answer){ .distances = UINT64_MAX, .bytes = UINT64_MAX };
    rc = by_memory ? ring_memory(x) : ring_socket(x, doing);
    if (rc == OK)
        rc = by_memory ? wait_memory(x, doing) : wait_socket(x, doing);
    return rc == OK ? take_answer(x, request, answer) : rc;
}

int external_put_texts(struct external *x, const char *first, const char *second)
{
    char *to = (char *)x->client.shared + EXTERNAL_TEXT_AT;
    const size_t a = strlen(first) + 1, b = strlen(second) + 1;
    if (a + b > EXTERNAL_TEXT_BYTES)
        return fail(x->base.env.error, ERR_ARGUMENT, "external: the path %.200s... is too long",
                    first);
    memcpy(to, first, a);
    memcpy(to + a, second, b);
    return OK;
}

int external_measure(struct external *x)
{
    const struct external_request ping = { .operation = EXTERNAL_PING };
    uint64_t (*clock_ns)(void) = x->base.env.clock_ns, took[PINGS];
    struct external_answer answer;
    int rc = OK;
    for (size_t i = 0; i < PINGS && rc == OK && clock_ns; i++) {
        const uint64_t from = clock_ns();
        rc = external_call(x, &ping, &answer);
        took[i] = clock_ns() - from;
    }
    if (rc != OK || !clock_ns)
        return rc;
    qsort(took, PINGS, sizeof *took, order_u64);
    x->overhead_ns = (double)took[PINGS / 2];
    return OK;
}
