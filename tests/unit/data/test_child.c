/* test_child.c - a failure in a child process stays there, and its parent reports it. */
#define _GNU_SOURCE
#include "tests/unit/data/data_files.h"

#include <signal.h>
#include <time.h>

#include "src/core/mem.h"
#include "src/data/readers/bytes.h"
#include "src/data/readers/child.h"

static volatile uint64_t waste;

static void answers(void *context, int out)
{
    (void)bytes_put(out, context, strlen(context));
}

static void answers_long(void *context, int out)
{
    static const char block[100000];
    for (int i = 0; i < 50; i++)
        (void)bytes_put(out, block, sizeof block);
}

static void crashes(void *context, int out)
{
    answers(context, out);
    raise(SIGKILL);
}

static void aborts(void *context, int out)
{
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void exits(void *context, int out)
{
    _exit(3);
}

static void loops(void *context, int out)
{
    for (;;)
        waste++;
}

static void sleeps(void *context, int out)
{
    for (;;)
        pause();
}

static void takes_memory(void *context, int out)
{
    char *volatile all = malloc((size_t)1 << 30); /* volatile: the compiler must not remove it */
    (void)bytes_put(out, all ? "much" : "none", 4);
    free(all);
}

static void is_interrupted(void *context, int out)
{
    raise(SIGINT);
}

static int stop_now(void *context)
{
    return 1;
}

static void says_how_it_ended(void **state)
{
    static const struct {
        const char *name;
        void (*work)(void *, int);
        double cpu_s;
        int (*tick)(void *);
        int code;
        const char *expected, *output;
    } cases[] = {
        { "answer", answers, 5, NULL, OK, "", "the context" },
        { "crash", crashes, 5, NULL, ERR_CORRUPT, "crashed (SIGKILL)", "the context" },
        { "abort", aborts, 5, NULL, ERR_CORRUPT, "crashed (SIGABRT)", NULL },
        { "exit", exits, 5, NULL, ERR_CORRUPT, "ended by itself with status 3", NULL },
        { "loop", loops, 0.5, NULL, ERR_CORRUPT, "took more than 1 s of processor time", NULL },
        { "sleep", sleeps, 5, stop_now, ERR_INTERRUPTED, "interrupted", NULL },
        { "interrupt", is_interrupted, 5, NULL, ERR_INTERRUPTED, "interrupted", NULL },
    };
    static char context[] = "the context";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = { 0 };
        struct child_process c = { .work = cases[i].work,
                                   .context = context,
                                   .cpu_s = cases[i].cpu_s,
                                   .tick = cases[i].tick };
        const int rc = child_run(&c, &err);
        if (rc != cases[i].code)
            fail_msg("%s: %d %s", cases[i].name, rc, err.text);
        expect_text(cases[i].name, &err, cases[i].expected);
        if (cases[i].output)
            assert_string_equal(c.output, cases[i].output);
        mem_free(NULL, c.output);
    }
}

static void long_answers_come_whole(void **state)
{
    struct error err = { 0 };
    struct child_process c = { .work = answers_long, .cpu_s = 5 };
    assert_ok(child_run(&c, &err), &err);
    assert_int_equal(c.output_bytes, 5000000);
    mem_free(NULL, c.output);
}

static void memory_is_limited(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* a sanitizer's malloc() ends the process */
#endif
    struct error err = { 0 };
    struct child_process c = { .work = takes_memory,
                               .cpu_s = 5,
                               .memory_bytes = (size_t)256 << 20 };
    assert_ok(child_run(&c, &err), &err);
    assert_string_equal(c.output, "none");
    mem_free(NULL, c.output);
    c.memory_bytes = (size_t)2 << 30;
    assert_ok(child_run(&c, &err), &err);
    assert_string_equal(c.output, "much");
    mem_free(NULL, c.output);
}

int main(void)
{
    return test_run_all("data_child", says_how_it_ended, long_answers_come_whole,
                        memory_is_limited);
}
