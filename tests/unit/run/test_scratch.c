/* test_scratch.c - folders and locks that name their owner: those of killed processes are
   distinguished from those in use. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "src/result/folder_lock.h"
#include "src/run/measure/proc.h"
#include "src/run/scratch.h"
#include "tests/support/testing.h"

static void make_in(const char *dir, const char *format, long pid, unsigned long long start,
                    char path[PATH_MAX])
{
    char name[128];

    snprintf(name, sizeof name, format, pid, start);
    assert_true(snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX);
    assert_int_equal(mkdir(path, 0700), 0);
}

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* A process that has ended and was waited for. Its number may soon be reused,
   its start time not. */
static long gone_process(unsigned long long *start)
{
    uint64_t ticks;
    const pid_t pid = fork();

    if (pid == 0) {
        (void)alarm(800);
        pause();
        _exit(0);
    }
    assert_true(proc_start(pid, &ticks));
    *start = ticks;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

/* A link to another folder is removed, the other folder is not. */
static void test_links_are_not_followed(void **state)
{
    char dir[PATH_MAX], kept[PATH_MAX], dead[PATH_MAX], path[PATH_MAX];
    unsigned long long start;
    size_t folders, processes;

    test_dir_make(dir);
    const long pid = gone_process(&start);
    make_in(dir, "kept", 0, 0, kept);
    assert_true(snprintf(path, sizeof path, "%.4000s/file", kept) > 0);
    fclose(fopen(path, "w"));
    make_in(dir, "cell-%ld-%llu-dead", pid, start, dead);
    char link[PATH_MAX];
    assert_true(snprintf(link, sizeof link, "%.4000s/link", dead) > 0);
    assert_int_equal(symlink(kept, link), 0);
    scratch_sweep(dir, &folders, &processes);
    assert_int_equal(folders, 1);
    assert_true(!exists(dead) && exists(path));
    test_dir_remove(dir);
}

/* As where the first process of a container waits for none that it inherits. */
static void test_an_owner_that_nobody_waited_for(void **state)
{
    char dir[PATH_MAX], folder[PATH_MAX];
    size_t folders, processes;
    uint64_t start;
    siginfo_t info;

    test_dir_make(dir);
    const pid_t pid = fork();
    if (pid == 0)
        for (;;)
            (void)(alarm(800), pause());
    assert_true(proc_start(pid, &start));
    make_in(dir, "cell-%ld-%llu-dead", pid, start, folder);
    scratch_sweep(dir, &folders, &processes);
    assert_int_equal(folders, 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    scratch_sweep(dir, &folders, &processes);
    assert_int_equal(folders, 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    test_dir_remove(dir);
}

/* Returns once the child has reported on its pipe that it is ready. */
static pid_t fork_ready(void (*begin)(const char *dir), const char *dir)
{
    int ends[2];
    char ready = 0;

    assert_int_equal(pipe(ends), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        (void)alarm(800); /* in case the test ends first */
        begin(dir);
        (void)!write(ends[1], "x", 1);
        for (;;)
            pause();
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &ready, 1), 1);
    close(ends[0]);
    return pid;
}

static void take_lock(const char *dir)
{
    struct error err = { 0 };
    int lock;

    if (folder_lock(dir, &lock, &err) != OK)
        _exit(1);
}

static void fork_only(const char *dir) {}

/* A process forked while the lock was held does not hold it. */
static void test_a_lock_is_not_inherited(void **state)
{
    char dir[PATH_MAX];
    struct error err = { 0 };
    int lock;

    test_dir_make(dir);
    assert_ok(folder_lock(dir, &lock, &err), &err);
    const pid_t child = fork_ready(fork_only, dir);
    close(lock);
    const pid_t other = fork_ready(take_lock, dir);
    kill(child, SIGKILL);
    kill(other, SIGKILL);
    waitpid(child, NULL, 0);
    waitpid(other, NULL, 0);
    assert_code(folder_lock("/nonexistent", &lock, &err), ERR_IO, &err);
    test_dir_remove(dir);
}

static void take_odd_name(const char *dir)
{
    (void)prctl(PR_SET_NAME, "a) S 1 (b\n", 0, 0, 0);
}

static void test_processes_with_odd_names(void **state)
{
    const pid_t child = fork_ready(take_odd_name, "");
    pid_t pids[64];
    uint64_t start = 0, own = 0;
    char name[200];
    bool listed = false;

    assert_true(proc_start(child, &start) && proc_start(getpid(), &own));
    assert_true(start >= own && start < own + 100000);
    const size_t n = proc_list(getpid(), pids, 64);
    for (size_t i = 0; i < n; i++)
        listed |= pids[i] == child;
    assert_true(listed && proc_runs(child));
    proc_name(child, name, sizeof name);
    assert_int_equal(strtol(name, NULL, 10), child);
    kill(child, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_false(proc_runs(child)); /* dead, but not yet waited for */
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(proc_start(child, &start));
}

int main(void)
{
    return test_run_all("scratch", test_links_are_not_followed,
                        test_an_owner_that_nobody_waited_for, test_a_lock_is_not_inherited,
                        test_processes_with_odd_names);
}
