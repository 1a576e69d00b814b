/* client.c - the client's process: its start, its hello and its end. */
#define _GNU_SOURCE
#include "algorithms/external/external.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = PARAM_TEXT_BYTES / 2 + 2 };

/* ---- the end */

bool external_client_has_ended(const struct external_client *c)
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

int external_client_lose_silent(struct external *x, const char *doing)
{
    struct external_client *c = &x->client;
    /* A process closes its socket a moment before it has ended. */
    for (int i = 0; i < 100 && !external_client_has_ended(c); i++)
        (void)usleep(1000);
    if (!external_client_has_ended(c))
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
        while (!external_client_has_ended(c) && !deadline_passed(&c->deadline))
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
        return external_client_lose_silent(x, "its start");
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
        return external_client_lose_silent(x, "its start");
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
