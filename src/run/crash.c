/* crash.c - see crash.h. Only calls that are safe in a signal handler. */
#define _GNU_SOURCE
#include "src/run/crash.h"

#include <execinfo.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { FRAMES = 48, STACK_BYTES = 64 * 1024 };

const char *crash_signal_name(int signal)
{
    switch (signal) {
        case SIGSEGV: return "SIGSEGV (invalid memory access)";
        case SIGBUS: return "SIGBUS (access past a mapped file, or misaligned)";
        case SIGFPE: return "SIGFPE (arithmetic error)";
        case SIGILL:
            return "SIGILL (an instruction this processor does not have, or a trap of the "
                   "compiler)";
        case SIGABRT: return "SIGABRT (abort, assertion or heap corruption)";
        case SIGKILL: return "SIGKILL (killed from outside, or by the kernel out of memory)";
        case SIGTERM: return "SIGTERM (asked to stop)";
        case SIGXCPU: return "SIGXCPU (limit of processor time)";
        case SIGPIPE: return "SIGPIPE (the other end went away)";
        default: return "another signal";
    }
}

static void say(const char *text)
{
    const ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n;
}

static void on_crash(int number)
{
    void *frames[FRAMES];
    const int n = backtrace(frames, FRAMES);

    say("\ncrashed: ");
    say(crash_signal_name(number));
    say("\n");
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    /* SA_RESETHAND has restored the default action, so this kills the process. */
    (void)raise(number);
}

void crash_handlers_install(void)
{
    static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    static _Alignas(16) char stack[STACK_BYTES]; /* for the handlers */
    const stack_t own = { .ss_sp = stack, .ss_size = sizeof stack };
    struct sigaction action = { .sa_handler = on_crash,
                                .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK | SA_NODEFER) };
    void *frames[1];

    /* The first call of backtrace() loads a library, which is not allowed in a handler. */
    (void)backtrace(frames, 1);
    (void)sigaltstack(&own, NULL);
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        (void)sigaction(fatal[i], &action, NULL);
}
