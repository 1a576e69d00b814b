/* client.c - a reference client of the method `external`: an exact scan. docs/external.md has the
 * protocol. It needs nothing but a C compiler: cc -O2 -o client client.c */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PING, CREATE, INSERT, SEARCH, DELETE, SAVE, LOAD, COUNT, IDS, END };
enum { BY_MEMORY = 1, CAN_DELETE = 2, CAN_SAVE = 4, CAN_FILTER = 8 };
enum { L2, IP, COSINE, HAMMING };

static struct shared {
    _Atomic uint32_t asked, answered, client_sleeps, harness_sleeps;
    uint64_t operation, n, k, threads, effort;
    uint64_t rows_at, ids_at, distances_at, filter_at, filter_ids;
    uint64_t dim, element, metric, expected_n, seed;
    uint64_t status, done, distances, bytes;
} * s;

static struct {
    uint64_t n, dim, metric, row_bytes;
} h; /* also the head of a saved index */
static char *rows;
static uint64_t *ids, capacity;

#define AT(offset) ((void *)((char *)s + (offset)))

static void reserve(uint64_t n)
{
    if (n < capacity)
        return;
    capacity = 2 * n + 16;
    rows = realloc(rows, capacity * h.row_bytes);
    ids = realloc(ids, capacity * sizeof *ids);
    if (!rows || !ids)
        abort(); /* the harness reports it */
}

static float distance(const void *a, const void *b)
{
    const float *x = a, *y = b;
    double sum = 0, t;
    if (h.metric == HAMMING)
        return (float)__builtin_popcountll(*(const uint64_t *)a ^ *(const uint64_t *)b);
    for (uint64_t i = 0; i < h.dim; i++)
        sum += h.metric == L2 ? (t = (double)x[i] - y[i], t * t) : (double)x[i] * y[i];
    return (float)(h.metric == IP ? -sum : h.metric == COSINE ? 2 - 2 * sum : sum);
}

static void search(const char *query, uint64_t *found, float *far)
{
    const uint64_t *bits = s->filter_at ? AT(s->filter_at) : NULL;
    for (uint64_t i = 0, n = 0; i < h.n; i++) {
        if (bits && (ids[i] >= s->filter_ids || !(bits[ids[i] / 64] >> ids[i] % 64 & 1)))
            continue;
        const float d = distance(query, rows + i * h.row_bytes);
        uint64_t p = n; /* insertion sort; ties go to the smaller id */
        for (; p > 0 && (d < far[p - 1] || (d == far[p - 1] && ids[i] < found[p - 1])); p--)
            if (p < s->k)
                far[p] = far[p - 1], found[p] = found[p - 1];
        if (p < s->k)
            far[p] = d, found[p] = ids[i];
        n += n < s->k;
    }
}

#define IO(p, bytes) ((load ? fread(p, 1, bytes, f) : fwrite(p, 1, bytes, f)) == (bytes))

static int store(int load)
{
    FILE *f = fopen(AT(512), load ? "rb" : "wb");
    int ok = f && IO(&h, sizeof h) && (reserve(h.n), 1);
    ok = ok && IO(rows, h.n * h.row_bytes) && IO(ids, 8 * h.n);
    if (f && fclose(f) == 0 && ok)
        return 0;
    return snprintf(AT(512), 3584, "the file: %m"), 1;
}

static int answer(const uint64_t *given)
{
    switch (s->operation) {
        case CREATE:
            h.dim = s->dim, h.metric = s->metric, h.row_bytes = h.metric == HAMMING ? 8 : 4 * h.dim;
            break;
        case INSERT:
            reserve(h.n + s->n);
            memcpy(rows + h.n * h.row_bytes, AT(s->rows_at), s->n * h.row_bytes);
            memcpy(ids + h.n, given, s->n * sizeof *ids);
            h.n += s->done = s->n;
            break;
        case SEARCH:
            for (uint64_t q = 0; q < s->n; q++)
                search((char *)AT(s->rows_at) + q * h.row_bytes,
                       (uint64_t *)AT(s->ids_at) + q * s->k,
                       (float *)AT(s->distances_at) + q * s->k);
            s->distances = s->n * h.n, s->bytes = s->distances * h.row_bytes;
            break;
        case DELETE:
            for (uint64_t p; s->done < s->n; s->done++) {
                for (p = 0; ids[p] != given[s->done];)
                    p++;
                ids[p] = ids[--h.n];
                memmove(rows + p * h.row_bytes, rows + h.n * h.row_bytes, h.row_bytes);
            }
            break;
        case SAVE: return store(0);
        case LOAD: return store(1);
        case COUNT: s->done = h.n; break;
        case IDS: memcpy(AT(s->ids_at), ids + s->k, (s->done = s->n) * sizeof *ids);
    }
    return 0; /* also of PING and END */
}

int main(void)
{
    const uint32_t hello[] = { 1, BY_MEMORY | CAN_DELETE | CAN_SAVE | CAN_FILTER, 0x63 /* "c" */ };
    uint64_t version = 0, control[8] = { 0 };
    struct msghdr m = { NULL, 0, &(struct iovec){ &version, 8 }, 1, control, sizeof control, 0 };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (recvmsg(3, &m, 0) != 8 || version != 1 || !CMSG_FIRSTHDR(&m))
        return fprintf(stderr, "the harness starts this program: docs/external.md\n"), 2;
    s = mmap(NULL, 256 << 20, 3, MAP_SHARED, *(int *)CMSG_DATA(CMSG_FIRSTHDR(&m)), 0);
    if (s == MAP_FAILED || send(3, hello, sizeof hello, 0) != sizeof hello)
        return perror("client"), 1;
    for (uint32_t last = 0; last == 0 || s->operation != END;) {
        for (int i = 0; i < 100 && atomic_load(&s->asked) == last; i++)
            sched_yield();
        for (; atomic_load(&s->asked) == last; atomic_store(&s->client_sleeps, 0)) {
            atomic_store(&s->client_sleeps, 1);
            syscall(SYS_futex, &s->asked, FUTEX_WAIT, last, NULL, NULL, 0);
        }
        last = atomic_load(&s->asked);
        s->status = (uint64_t)answer(AT(s->ids_at));
        atomic_store(&s->answered, last);
        if (atomic_load(&s->harness_sleeps))
            syscall(SYS_futex, &s->answered, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
    return 0;
}
