/* fault_injection.c - the fault hook, and the end of a child. */
#include "tests/support/fault_injection.h"

#include <errno.h>
#include <sys/wait.h>

#include "tests/support/testing.h"

static int before(void *to, const char *call)
{
    struct injected_faults *m = to;
    const size_t n = atomic_fetch_add(m->calls, 1) + 1, fail_at = m->fail_at;

    if (n == m->kill_at && getpid() != m->parent)
        (void)kill(getpid(), SIGKILL);
    if (fail_at == 0 || (n != fail_at && !(m->fail_on && n > fail_at)))
        return 0;
    m->failed = call;
    return m->code;
}

void faults_begin(struct injected_faults *m, atomic_size_t *calls)
{
    *m = (struct injected_faults){
        .calls = calls, .parent = getpid(), .code = EIO, .failed = "", .fault = { before, m }
    };
}

bool faults_wait(const struct injected_faults *m, pid_t child, useconds_t delay_us, uint64_t seed)
{
    int status = 0;

    if (delay_us) {
        (void)usleep(delay_us);
        (void)kill(child, SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        fail_msg("the child failed with %d (kill_at %zu, seed %" PRIu64 ")", WEXITSTATUS(status),
                 atomic_load(&m->kill_at), seed);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        fail_msg("the child died of signal %d", WTERMSIG(status));
    return WIFEXITED(status);
}
