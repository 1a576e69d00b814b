/* test_memory.c - memory use of a process and size of a folder; prefaulted memory is released. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "src/run/measure/folder.h"
#include "src/run/measure/memory.h"
#include "tests/support/testing.h"

static void test_resident_memory_follows_what_is_touched(void **state)
{
    const size_t bytes = 64 << 20;
    struct resident before, during;
    assert_true(memory_resident_read(0, &before));
    char *pages = malloc(bytes);
    assert_non_null(pages);
    memset(pages, 1, bytes);
    assert_true(memory_resident_read(0, &during));
    assert_true(during.anonymous >= before.anonymous + bytes);
    assert_true(pages[bytes / 2] == 1);
    free(pages);
    assert_false(memory_resident_read(1L << 30, &during));
}

static void test_prefaulting_is_not_charged_to_this_process(void **state)
{
    struct resident before, after;
    memory_reset_peak();
    assert_true(memory_resident_read(0, &before));
    memory_prefault((size_t)128 << 20);
    assert_true(memory_resident_read(0, &after));
    assert_true(after.anonymous < before.anonymous + (16 << 20));
    assert_true(after.peak < before.peak + (16 << 20));
}

/* Memory of its own that a child process touches, and shares with a child of its own. */
static _Noreturn void hold(int ready, size_t bytes)
{
    char *own = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    memset(own, 1, bytes);
    if (fork() == 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (write(ready, "", 1) != 1)
        _exit(1);
    for (;;)
        (void)pause();
}

static void test_shared_memory_of_children_counts_once(void **state)
{
    const size_t bytes = 48 << 20;
    int ready[2];
    char *ours = malloc(bytes), byte;
    assert_non_null(ours);
    memset(ours, 1, bytes);
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0)
        hold(ready[1], bytes);
    for (size_t i = 0; i < 2; i++) /* of both */
        assert_int_equal(read(ready[0], &byte, 1), 1);
    const uint64_t others = memory_others(getpid(), getpid());
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_in_range(others, bytes, bytes + (16 << 20));
    assert_true(ours[bytes / 2] == 1); /* this process' own, which both have since fork() */
    free(ours);
}

static void test_folders_are_summed_and_removed(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 16];
    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/inner", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/inner/file", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("12345", f);
    fclose(f);
    assert_int_equal(folder_bytes(dir), 5);
    assert_true(folder_cached(dir) == 1);
    folder_uncache(dir);
    assert_true(folder_cached(dir) <= 1); /* 1 if the folder is on a memory file system */
    folder_remove(dir);
    assert_true(isnan(folder_cached(dir)));
    assert_int_equal(access(dir, F_OK), -1);
}

/* Mapped files are dropped from the cache too, and data written through a mapping are kept. */
static void test_mapped_files_are_forgotten(void **state)
{
    enum { BYTES = 64 * 4096 };
    char dir[PATH_MAX], path[PATH_MAX + 8];

    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/file", dir);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0 && ftruncate(fd, BYTES) == 0);
    unsigned char *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(at != MAP_FAILED);
    memset(at, 7, BYTES);
    assert_true(folder_cached(dir) == 1);
    folder_uncache(dir);
    /* 1 if the folder is on a memory file system. */
    assert_true(folder_cached(dir) < .05 || folder_cached(dir) == 1);
    for (size_t i = 0; i < BYTES; i++)
        assert_int_equal(at[i], 7);
    assert_int_equal(munmap(at, BYTES), 0);
    (void)close(fd);
    test_dir_remove(dir);
}

/* So are files that are open and have no name any more. */
static void test_removed_files_are_forgotten(void **state)
{
    enum { BYTES = 64 * 4096 };
    static const char zeros[BYTES];
    char dir[PATH_MAX], path[PATH_MAX + 8];

    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/file", dir);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0 && write(fd, zeros, BYTES) == BYTES && unlink(path) == 0);
    assert_true(folder_cached(dir) == 1);
    folder_uncache(dir);
    assert_true(folder_cached(dir) < .05 || folder_cached(dir) == 1);
    (void)close(fd);
    assert_true(isnan(folder_cached(dir)));
    test_dir_remove(dir);
}

int main(void)
{
    return test_run_all(
        "memory", test_removed_files_are_forgotten, test_resident_memory_follows_what_is_touched,
        test_prefaulting_is_not_charged_to_this_process, test_shared_memory_of_children_counts_once,
        test_folders_are_summed_and_removed, test_mapped_files_are_forgotten);
}
