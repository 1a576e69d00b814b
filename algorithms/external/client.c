/* client.c - the client's process: its start, its hello and its end; and one call of it: the
 * request into shared memory, the wait, the answer checked. */
#define _GNU_SOURCE
#include "algorithms/external/external.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/core/order.h"

enum { WORDS_MAX = PARAM_TEXT_BYTES / 2 + 2 };

/* ---- the end */

static bool has_ended(const struct external_client *c)
{
    siginfo_t info = { .si_pid = 0 };
    return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* The client is reaped last: until then its process group has a member, so that its number cannot
   be that of another group. */
static int kill_and_reap(struct external_client *c)
{
    int state = 0;
    if (c->pid > 0) {
        (void)kill(-c->pid, SIGKILL);
        (void)kill(c->pid, SIGKILL);
        while (waitpid(c->pid, &state, 0) < 0 && errno == EINTR) {
        }
        c->pid = 0;
    }
    if (c->socket >= 0)
        (void)close(c->socket);
    c->socket = -1;
    return state;
}

int external_client_lose(struct external *x, const char *format, ...)
{
    struct external_client *c = &x->client;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->lost, sizeof c->lost, format, args);
    va_end(args);
    (void)kill_and_reap(c);
    return fail(x->base.env.error, ERR_BASELINE, "external: client \"%s\" %s", c->name, c->lost);
}

static int lose_silent(struct external *x, const char *doing)
{
    struct external_client *c = &x->client;
    /* A process closes its socket a moment before it has ended. */
    for (int i = 0; i < 100 && !has_ended(c); i++)
        (void)usleep(1000);
    if (!has_ended(c))
        return external_client_lose(x, "closed its socket during %s and was killed", doing);
    const int state = kill_and_reap(c);
    return WIFSIGNALED(state) ? external_client_lose(x, "was killed by signal %d during %s",
                                                     WTERMSIG(state), doing)
                              : external_client_lose(x, "ended with exit status %d during %s",
                                                     WEXITSTATUS(state), doing);
}

void external_client_end(struct external *x)
{
    struct external_client *c = &x->client;
    if (c->pid > 0 && deadline_set(&c->deadline, EXTERNAL_END_US)) {
        (void)shutdown(c->socket, SHUT_RDWR);
        while (!has_ended(c) && !deadline_passed(&c->deadline))
            (void)usleep(200);
    }
    (void)kill_and_reap(c);
    if (c->shared)
        (void)munmap(c->shared, EXTERNAL_SHARED_BYTES);
    c->shared = NULL;
    deadline_close(&c->deadline);
}

/* ---- the start */

/* Memory of this process and the client alone. Sealed: a client that truncates it would kill
   the harness. Pages exist once they are written. */
static int share(struct external *x, int *file)
{
    struct error *err = x->base.env.error;
    *file = memfd_create("driftline-external", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*file < 0 || ftruncate(*file, EXTERNAL_SHARED_BYTES) != 0 ||
        fcntl(*file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return fail_errno(err, ERR_IO, "external: cannot make shared memory");
    void *at = mmap(NULL, EXTERNAL_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                    *file, 0);
    if (at == MAP_FAILED)
        return fail_errno(err, ERR_NO_MEMORY, "external: cannot map shared memory");
    x->client.shared = at;
    return OK;
}

/* Splits `text`, which it changes, at blanks. */
static void split(char *text, char *argv[WORDS_MAX])
{
    char *rest = NULL;
    size_t n = 0;
    for (char *word = strtok_r(text, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest))
        argv[n++] = word;
    argv[n] = NULL;
}

/* The client's standard output is the standard error of this process, whose end is recorded when a
   cell fails. No other descriptor is inherited. */
static int spawn(struct external_client *c, char *const argv[], int socket)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    int rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        rc = rc ? rc : posix_spawn_file_actions_adddup2(&actions, 2, 1);
        rc = rc ? rc : posix_spawn_file_actions_adddup2(&actions, socket, EXTERNAL_SOCKET);
        rc = rc ? rc : posix_spawn_file_actions_addclosefrom_np(&actions, EXTERNAL_SOCKET + 1);
        rc = rc ? rc : posix_spawnattr_setpgroup(&attributes, 0);
        rc = rc ? rc : posix_spawnattr_setsigmask(&attributes, &none);
        rc = rc ? rc : posix_spawnattr_setsigdefault(&attributes, &all);
        rc = rc ? rc
                : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP |
                                                            POSIX_SPAWN_SETSIGMASK |
                                                            POSIX_SPAWN_SETSIGDEF);
        rc = rc ? rc : posix_spawnp(&c->pid, argv[0], &actions, &attributes, argv, environ);
        c->pid = rc ? 0 : c->pid;
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static int start_program(struct external *x, int socket)
{
    struct error *err = x->base.env.error;
    char text[PARAM_TEXT_BYTES], *argv[WORDS_MAX] = { "/bin/sh", "-c", text, NULL };
    memcpy(text, x->params.command, sizeof text);
    if (!x->params.shell)
        split(text, argv);
    if (!argv[0] || text[strspn(text, " \t")] == '\0')
        return fail(err, ERR_CONFIG,
                    "external: it needs the command that starts its client, as in "
                    "params = { command = \"python3 client.py\" }");
    const int why = spawn(&x->client, argv, socket);
    errno = why;
    return why == 0 ? OK
                    : fail_errno(err, why == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                                 "external: cannot start \"%s\"", argv[0]);
}

/* Sends the version, and the memory as a descriptor. */
static int greet(struct external *x, int file)
{
    uint64_t version = EXTERNAL_VERSION;
    struct iovec bytes = { &version, sizeof version };
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { .space = { 0 } };
    const struct msghdr message = { .msg_iov = &bytes,
                                    .msg_iovlen = 1,
                                    .msg_control = control.space,
                                    .msg_controllen = sizeof control.space };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof file);
    memcpy(CMSG_DATA(rights), &file, sizeof file);
    if (sendmsg(x->client.socket, &message, MSG_NOSIGNAL) != (ssize_t)sizeof version)
        return lose_silent(x, "its start");
    return OK;
}

static int take_hello(struct external *x)
{
    struct external_client *c = &x->client;
    struct external_hello hello = { 0 };
    ssize_t n;
    do {
        n = recv(c->socket, &hello, sizeof hello, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return external_client_lose(x, "sent no hello within %g s and was killed",
                                    x->params.timeout_s);
    if (n <= 0)
        return lose_silent(x, "its start");
    if (n < (ssize_t)offsetof(struct external_hello, name))
        return external_client_lose(x, "sent a hello of %zd bytes; expected at least 8", n);
    /* Names are shown, so only plain characters of one are kept. */
    if (hello.name[0])
        (void)snprintf(c->name, sizeof c->name, "%.*s", EXTERNAL_NAME_BYTES, hello.name);
    for (char *at = c->name; *at; at++)
        *at = *at < ' ' || *at > '~' || *at == '"' ? '?' : *at;
    if (hello.version != EXTERNAL_VERSION) {
        (void)external_client_lose(x, "speaks version %u of the protocol; this program speaks %d",
                                   hello.version, EXTERNAL_VERSION);
        return x->base.env.error->code;
    }
    c->capabilities = hello.capabilities;
    return OK;
}

void external_client_set_timeout(struct external_client *c, uint64_t us)
{
    const struct timeval wait = { (time_t)(us / 1000000), (suseconds_t)(us % 1000000) };
    c->timeout_us = us;
    (void)setsockopt(c->socket, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)setsockopt(c->socket, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}

int external_client_start(struct external *x)
{
    struct external_client *c = &x->client;
    int ends[2] = { -1, -1 }, file = -1;
    c->socket = -1;
    deadline_init(&c->deadline);
    (void)snprintf(c->name, sizeof c->name, "%.*s", EXTERNAL_NAME_BYTES, x->params.command);
    int rc = share(x, &file);
    if (rc == OK && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        rc = fail_errno(x->base.env.error, ERR_IO, "external: cannot make a pair of sockets");
    c->socket = ends[0];
    if (rc == OK) {
        external_client_set_timeout(c, (uint64_t)(x->params.timeout_s * 1e6));
        rc = start_program(x, ends[1]);
    }
    if (ends[1] >= 0)
        (void)close(ends[1]);
    if (rc == OK)
        rc = greet(x, file);
    if (file >= 0)
        (void)close(file);
    return rc == OK ? take_hello(x) : rc;
}

uint64_t external_client_resident_bytes(const struct external_client *c)
{
    char path[64], text[4096];
    unsigned long long kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)c->pid);
    const int file = c->pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    const ssize_t n = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        (void)close(file);
    text[n > 0 ? n : 0] = '\0';
    const char *at = strstr(text, "\nRssAnon:");
    return at && sscanf(at, "\nRssAnon: %llu", &kib) == 1 ? (uint64_t)kib * 1024 : 0;
}

/* ---- a call */

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
        if (has_ended(c))
            return lose_silent(x, doing);
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
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? OK : lose_silent(x, doing);
}

static int ring_socket(struct external *x, const char *doing)
{
    const char byte = 0;
    atomic_store(&x->client.shared->asked, x->client.asked);
    return send(x->client.socket, &byte, 1, MSG_NOSIGNAL) == 1 ? OK : lose_silent(x, doing);
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
        return lose_silent(x, doing);
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
