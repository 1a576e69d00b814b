/* test_read_queue.c - deadlines and cancelled reads of read queues, with
   io_uring and with threads. */
#include "algorithms/common/io/read_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "algorithms/common/io/deadline.h"
#include "tests/support/testing.h"

/* ---- a slow device: reads of `fd` wait until it is released */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    int fd;
    bool open;
    size_t reads;
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, -1, true, 0 };

ssize_t pread(int fd, void *bytes, size_t n, off_t at)
{
    (void)pthread_mutex_lock(&gate.lock);
    if (fd == gate.fd) {
        gate.reads++;
        (void)pthread_cond_broadcast(&gate.more);
        while (!gate.open)
            (void)pthread_cond_wait(&gate.more, &gate.lock);
    }
    (void)pthread_mutex_unlock(&gate.lock);
    return syscall(SYS_pread64, fd, bytes, n, at);
}

static void gate_set(int fd, bool open)
{
    (void)pthread_mutex_lock(&gate.lock);
    gate.fd = fd;
    gate.open = open;
    (void)pthread_cond_broadcast(&gate.more);
    (void)pthread_mutex_unlock(&gate.lock);
}

static size_t gate_reads(size_t at_least)
{
    (void)pthread_mutex_lock(&gate.lock);
    while (gate.reads < at_least)
        (void)pthread_cond_wait(&gate.more, &gate.lock);
    const size_t reads = gate.reads;
    (void)pthread_mutex_unlock(&gate.lock);
    return reads;
}

/* ---- */

enum { REQUESTS = 300, EACH = 512 };

struct queue_test {
    int fd;
    struct read_threads *threads;
    struct read_queue *queue;
    struct deadline deadline;
    unsigned char file[REQUESTS * EACH], to[REQUESTS * EACH];
    struct read_request requests[REQUESTS];
};

static struct queue_test *begin(bool uring)
{
    struct queue_test *t = calloc(1, sizeof *t);
    char path[] = "/tmp/driftline-queue-XXXXXX";

    assert_non_null(t);
    t->fd = mkstemp(path);
    assert_true(t->fd >= 0);
    assert_int_equal(unlink(path), 0);
    for (size_t i = 0; i < sizeof t->file; i++)
        t->file[i] = (unsigned char)(i * 31 + i / EACH);
    assert_int_equal(write(t->fd, t->file, sizeof t->file), sizeof t->file);
    t->threads = read_threads_create(NULL);
    t->queue = read_queue_create(NULL, t->threads, uring);
    assert_non_null(t->queue);
    deadline_init(&t->deadline);
    gate.reads = 0;
    return t;
}

static void end(struct queue_test *t)
{
    gate_set(-1, true);
    deadline_close(&t->deadline);
    read_queue_destroy(t->queue);
    read_threads_destroy(t->threads);
    assert_int_equal(close(t->fd), 0);
    free(t);
}

static void add(struct queue_test *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        t->requests[i] = (struct read_request){
            .fd = t->fd, .to = t->to + i * EACH, .at = i * EACH, .bytes = EACH
        };
        read_queue_add(t->queue, &t->requests[i], true);
    }
    read_queue_submit(t->queue);
}

static void take_all(struct queue_test *t, size_t n)
{
    assert_int_equal(read_queue_in_flight(t->queue), n);
    for (; n > 0; n--) {
        const struct read_request *r = read_queue_take(t->queue, &t->deadline);

        assert_non_null(r);
        assert_int_equal(r->error, 0);
        assert_memory_equal(r->to, t->file + r->at, EACH);
    }
    assert_null(read_queue_take(t->queue, NULL));
}

/* A deadline that is far off, absent or past: completed reads are still returned. */
static void deadlines_that_are_kept(void **state)
{
    for (int uring = 0; uring < 2; uring++) {
        struct queue_test *t = begin(uring);

        if (uring)
            read_queue_fix(t->queue, t->fd);
        assert_true(deadline_set(&t->deadline, 60000000));
        add(t, REQUESTS);
        take_all(t, REQUESTS);
        assert_false(deadline_passed(&t->deadline));
        assert_true(deadline_set(&t->deadline, 0));
        add(t, REQUESTS);
        take_all(t, REQUESTS);
        assert_true(deadline_set(&t->deadline, 1));
        while (!deadline_passed(&t->deadline))
            (void)usleep(100);
        add(t, 3);
        for (size_t taken = 0; taken < 3; (void)usleep(100))
            taken += read_queue_take(t->queue, &t->deadline) != NULL;
        end(t);
    }
}

static void deadline_passes(void **state)
{
    struct queue_test *t = begin(false);

    gate_set(t->fd, false);
    add(t, 2);
    assert_true(deadline_set(&t->deadline, 1000));
    assert_null(read_queue_take(t->queue, &t->deadline));
    assert_true(t->deadline.passed);
    assert_null(read_queue_take(t->queue, &t->deadline));
    gate_set(t->fd, true);
    assert_true(deadline_set(&t->deadline, 0));
    take_all(t, 2);
    end(t);
}

static void *open_late(void *to)
{
    (void)usleep(200000);
    gate_set(*(int *)to, true);
    return NULL;
}

/* Reads that threads have begun are waited for; the others are not made, except
   those of another queue. */
static void cancelled_reads(void **state)
{
    struct queue_test *t = begin(false);
    struct read_queue *other = read_queue_create(NULL, t->threads, false);
    unsigned char byte = 0;
    struct read_request last = { .fd = t->fd, .to = &byte, .at = 7, .bytes = 1 };
    pthread_t thread;

    read_queue_cancel(t->queue); /* nothing to cancel */
    gate_set(t->fd, false);
    add(t, REQUESTS);
    read_queue_add(other, &last, true);
    const size_t begun = gate_reads(1);
    assert_int_equal(pthread_create(&thread, NULL, open_late, &t->fd), 0);
    read_queue_cancel(t->queue);
    assert_int_equal(read_queue_in_flight(t->queue), 0);
    assert_ptr_equal(read_queue_take(other, NULL), &last);
    assert_int_equal(byte, t->file[7]);
    assert_in_range(gate_reads(begun), begun, REQUESTS / 2);
    assert_int_equal(pthread_join(thread, NULL), 0);
    add(t, REQUESTS);
    take_all(t, REQUESTS);
    read_queue_destroy(other);
    end(t);
}

static void cancelled_in_a_ring(void **state)
{
    struct queue_test *t = begin(true);

    for (size_t n = 1; n <= REQUESTS; n = n * 2 + 1) {
        add(t, n);
        read_queue_cancel(t->queue);
        assert_int_equal(read_queue_in_flight(t->queue), 0);
        memset(t->to, 0, sizeof t->to);
        assert_null(read_queue_take(t->queue, NULL));
        for (size_t i = 0; i < sizeof t->to; i++)
            assert_int_equal(t->to[i], 0);
        add(t, n);
        take_all(t, n);
    }
    end(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_that_are_kept),
        cmocka_unit_test(deadline_passes),
        cmocka_unit_test(cancelled_reads),
        cmocka_unit_test(cancelled_in_a_ring),
    };

    (void)alarm(800); /* in case the queue never ends */
    return test_run("read_queue", tests);
}
