/* main.c - starts the program: signal handlers, the environment, then one command. */
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/options.h"
#include "src/cli/support/app.h"

/* The only mutable globals: a signal handler can access nothing else. */
static volatile sig_atomic_t interrupted, measuring;

enum { PATIENCE_US = 800 * 1000 }; /* time for the program to end by itself after an interrupt */

/* Ctrl-C ends the program within a second, even inside a library call that cannot be stopped. While
   cells are measured, the program instead writes the results so far. */
static void on_interrupt(int signal_number)
{
    /* A second Ctrl-C ends the program at once. A second SIGHUP does not: a terminal that closes
       may send two. */
    if (interrupted && signal_number != SIGHUP)
        _exit(EXIT_SOME_FAILED);
    interrupted = 1;
    const struct itimerval once = { .it_value = { .tv_usec = PATIENCE_US } };
    (void)setitimer(ITIMER_REAL, &once, NULL);
}

static void on_alarm(int signal_number)
{
    static const char text[] = "error: interrupted\n";
    (void)signal_number;
    if (measuring || !interrupted)
        return;
    const ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    _exit(EXIT_SOME_FAILED);
}

/* Data files are read in place: where one lost its end, there is nothing to go on with. */
static void on_lost_page(int signal_number)
{
    static const char text[] =
        "error: an open file became shorter, or its disk is full or fails (SIGBUS). Data files "
        "must not change\n  during a run: write new data to new files. --resume keeps finished "
        "cells\n";
    (void)signal_number;
    const ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    _exit(EXIT_SOME_FAILED);
}

/* A program that is started with one of 0 to 2 closed would get a file of its own there, and print into it. */
static void open_standard_files(void)
{
    int fd;

    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        ;
    if (fd >= 0)
        (void)close(fd);
}

static void install_handlers(void)
{
    struct sigaction interrupt = { .sa_handler = on_interrupt },
                     alarm = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    (void)sigaction(SIGINT, &interrupt, NULL);
    (void)sigaction(SIGTERM, &interrupt, NULL);
    struct sigaction hangup;
    (void)sigaction(SIGHUP, NULL, &hangup);
    if (hangup.sa_handler != SIG_IGN) /* nohup ignores it */
        (void)sigaction(SIGHUP, &interrupt, NULL);
    (void)sigaction(SIGALRM, &alarm, NULL);
    (void)signal(SIGBUS, on_lost_page);
    /* In `./harness list | head`, a closed pipe is a failed write and does not kill the program. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a write past the file size limit fails, likewise */
}

static bool truthy(const char *name)
{
    const char *value = getenv(name);
    return value && *value && strcmp(value, "0") != 0;
}

/* NULL if neither XDG_CACHE_HOME nor HOME is a whole path: others are ignored, as the XDG
   specification demands. */
static const char *default_cache(void)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && *xdg == '/')
        return app_path(xdg, "driftline");
    return home && *home == '/' ? app_path(home, ".cache/driftline") : NULL;
}

/* Recipes run in other folders, so the path is made whole. */
static const char *given_cache(const char *path)
{
    char *here = *path == '/' ? NULL : getcwd(NULL, 0);
    const char *whole = here ? app_path(here, path) : path;
    free(here);
    return whole;
}

static void read_environment(struct app *app)
{
    struct run_options *o = &app->options;
    const char *root = getenv("DRIFTLINE_ROOT"), *cache = getenv("DRIFTLINE_CACHE"),
               *data = getenv("DRIFTLINE_DATA");
    o->root = root && *root ? root : ".";
    const bool installed = truthy("DRIFTLINE_INSTALLED"); /* set by the launcher */
    o->results = installed ? "results" : app_path(o->root, "results");
    o->command = installed ? "driftline" : "./harness";
    o->cache = cache && *cache ? given_cache(cache) : default_cache();
    o->data = data && *data ? data : NULL;
    o->offline = truthy("DRIFTLINE_OFFLINE");
    o->no_install = truthy("DRIFTLINE_NO_INSTALL");
    const char *term = getenv("TERM");
    o->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    o->colour = o->terminal && !getenv("NO_COLOR");
}

int main(int argc, char **argv)
{
    struct app app = { .interrupted = &interrupted, .measuring = &measuring };
    open_standard_files();
    app.options.interrupted = &interrupted;
    app.options.say = app_say;
    app.options.say_to = &app;
    /* Files that this program and its children write are not writable by other users. */
    (void)umask(umask(0) | S_IWGRP | S_IWOTH);
    json_set_alloc_funcs(app_allocate, free);
    install_handlers();
    read_environment(&app);
    int status = options_parse(&app, argc - 1, argv + 1);
    return status ? status : commands_run(&app);
}
