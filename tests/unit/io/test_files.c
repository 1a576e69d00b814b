/* test_files.c - files.h on calls that are cut short, interrupted or refused: all bytes are
 * transferred once, or errno is set; each call can be replaced by a test. */
#include "algorithms/common/io/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/testing.h"

/* ---- system calls cut short: on these descriptors every third call is interrupted, the others
   transfer at most `most` bytes */

static struct {
    int fds[2];
    size_t calls, most;
    bool nothing; /* transfers nothing, without an error */
} cut = { .fds = { -1, -1 } };

static size_t cut_short(int fd, size_t n)
{
    if (fd < 0 || (fd != cut.fds[0] && fd != cut.fds[1]))
        return n;
    if (++cut.calls % 3 == 0) {
        errno = EINTR;
        return SIZE_MAX;
    }
    return cut.nothing ? 0 : n < cut.most ? n : cut.most;
}

#define CUT_SHORT(number, fd, n, ...)     \
    const size_t some = cut_short(fd, n); \
    return some == SIZE_MAX ? -1 : syscall(number, fd, bytes, some __VA_OPT__(, ) __VA_ARGS__)

ssize_t write(int fd, const void *bytes, size_t n)
{
    CUT_SHORT(SYS_write, fd, n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    CUT_SHORT(SYS_pwrite64, fd, n, at);
}

ssize_t read(int fd, void *bytes, size_t n)
{
    CUT_SHORT(SYS_read, fd, n);
}

ssize_t pread(int fd, void *bytes, size_t n, off_t at)
{
    CUT_SHORT(SYS_pread64, fd, n, at);
}

/* ---- a fault at one call */

struct planned {
    char call[16];
    size_t calls, fail_at;
    int code;
};

static int before(void *to, const char *call)
{
    struct planned *p = to;

    assert_string_equal(call, p->call);
    return ++p->calls == p->fail_at ? p->code : 0;
}

/* ---- */

enum { BYTES = 200000, PIECE = 777 };

static unsigned char wanted[BYTES], got[BYTES];

static int temporary(void)
{
    char path[] = "/tmp/driftline-files-XXXXXX";
    const int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    return fd;
}

static int begin(void **state)
{
    for (size_t i = 0; i < BYTES; i++)
        wanted[i] = (unsigned char)(i * 31 + i / 251);
    memset(got, 0, sizeof got);
    memset(&cut, 0, sizeof cut);
    cut.fds[0] = cut.fds[1] = -1;
    cut.most = PIECE;
    return 0;
}

static void whole_in_pieces(void **state)
{
    const int fd = temporary();

    cut.fds[0] = fd;
    assert_int_equal(file_write(fd, wanted, BYTES, NULL), BYTES);
    assert_true(cut.calls > BYTES / PIECE);
    assert_int_equal(file_read_at(fd, got, BYTES, 0, NULL), BYTES);
    assert_memory_equal(got, wanted, BYTES);
    assert_int_equal(file_write_at(fd, wanted, BYTES / 2, BYTES / 2, NULL), BYTES / 2);
    assert_int_equal(file_read_at(fd, got, BYTES / 2, BYTES / 2, NULL), BYTES / 2);
    assert_memory_equal(got, wanted, BYTES / 2);
    cut.fds[0] = -1;
    assert_int_equal(close(fd), 0);
}

static void the_end_is_no_error(void **state)
{
    const int fd = temporary();

    assert_int_equal(file_write(fd, wanted, 1000, NULL), 1000);
    errno = EIO;
    assert_int_equal(file_read_at(fd, got, 600, 900, NULL), 100);
    assert_int_equal(errno, 0);
    assert_memory_equal(got, wanted + 900, 100);
    assert_int_equal(close(fd), 0);
    assert_int_equal(file_read_at(fd, got, 600, 900, NULL), 0);
    assert_int_equal(errno, EBADF);
}

static void a_write_of_nothing_ends(void **state)
{
    const int fd = temporary();

    cut.fds[0] = fd;
    cut.nothing = true;
    assert_int_equal(file_write(fd, wanted, 10, NULL), 0);
    assert_int_equal(errno, EIO);
    assert_int_equal(file_write_at(fd, wanted, 10, 0, NULL), 0);
    assert_int_equal(errno, EIO);
    cut.fds[0] = -1;
    assert_int_equal(close(fd), 0);
}

/* After an interruption the fault callback is called again; bytes transferred before
   a refusal are counted. */
static void faults(void **state)
{
    const int fd = temporary();
    struct planned p = { "write", 0, 2, EINTR };
    const struct file_fault fault = { before, &p };

    assert_int_equal(file_write(fd, wanted, 100, &fault), 100);
    assert_int_equal(p.calls, 1);
    assert_int_equal(file_write_at(fd, wanted, 100, 100, &fault), 100);
    assert_int_equal(p.calls, 3);
    cut.fds[0] = fd;
    p = (struct planned){ "write", 0, 3, ENOSPC };
    assert_int_equal(file_write_at(fd, wanted, BYTES, 0, &fault), 2 * PIECE);
    assert_int_equal(errno, ENOSPC);
    p = (struct planned){ "read", 0, 1, EIO };
    assert_int_equal(file_read_at(fd, got, 10, 0, &fault), 0);
    assert_int_equal(errno, EIO);
    cut.fds[0] = -1;
    assert_int_equal(close(fd), 0);
}

static void syncs(void **state)
{
    const int fd = temporary();
    struct planned p = { "fsync", 0, 1, EINTR };
    const struct file_fault fault = { before, &p };

    assert_true(file_sync(fd, &fault));
    assert_int_equal(p.calls, 2);
    p = (struct planned){ "fsync", 0, 1, EIO };
    assert_false(file_sync_data(fd, &fault));
    assert_int_equal(errno, EIO);
    assert_int_equal(p.calls, 1);
    assert_int_equal(close(fd), 0);
    assert_false(file_sync(fd, NULL));
    assert_int_equal(errno, EBADF);
    assert_true(file_sync_folder("/tmp", NULL));
    assert_false(file_sync_folder("/tmp/driftline/is/not/there", NULL));
    assert_int_equal(errno, ENOENT);
    p = (struct planned){ "fsync-dir", 0, 1, ENOSPC };
    assert_false(file_sync_folder("/tmp", &fault));
    assert_int_equal(errno, ENOSPC);
}

static void copies(void **state)
{
    const int from = temporary(), to = temporary();

    assert_int_equal(file_write(from, wanted, BYTES, NULL), BYTES);
    assert_int_equal(lseek(from, 1000, SEEK_SET), 1000);
    cut.fds[0] = from;
    cut.fds[1] = to;
    assert_true(file_copy(from, to, NULL));
    cut.fds[0] = cut.fds[1] = -1;
    assert_int_equal(file_read_at(to, got, BYTES, 0, NULL), BYTES - 1000);
    assert_memory_equal(got, wanted + 1000, BYTES - 1000);
    assert_int_equal(close(to), 0);
    assert_int_equal(lseek(from, 0, SEEK_SET), 0);
    assert_false(file_copy(from, to, NULL));
    assert_int_equal(errno, EBADF);
    assert_int_equal(close(from), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(whole_in_pieces, begin),
        cmocka_unit_test_setup(the_end_is_no_error, begin),
        cmocka_unit_test_setup(a_write_of_nothing_ends, begin),
        cmocka_unit_test_setup(faults, begin),
        cmocka_unit_test_setup(syncs, begin),
        cmocka_unit_test_setup(copies, begin),
    };
    return test_run("files", tests);
}
