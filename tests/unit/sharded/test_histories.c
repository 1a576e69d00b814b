/* test_histories.c - random histories of indexes on several ranks, which are killed at any request, whose
 * disks are full at any write, and whose files are damaged in one byte. What was acknowledged is there after
 * the recovery, what has failed is not, and a shard that cannot be recovered stays down until its file is
 * as it was. */
#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/unit/sharded/cluster.h"

/* ---- a disk that is full: for the thread of one rank, from one of its writes on */

static struct {
    bool on;
    size_t rank, writes; /* that succeed still */
} full;

static bool is_its_thread(void)
{
    return full.on && thread_ranks_own() == full.rank;
}

static bool is_full(void)
{
    if (!is_its_thread())
        return false;
    if (full.writes > 0) {
        full.writes--;
        return false;
    }
    errno = ENOSPC;
    return true;
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    return fd > STDERR_FILENO && is_full() ? -1 : syscall(SYS_write, fd, bytes, n);
}

/* The first write that fails leaves a part of its bytes. */
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    const bool last = is_its_thread() && full.writes == 1;
    if (is_full())
        return -1;
    return syscall(SYS_pwrite64, fd, bytes, last && n > 1 ? n / 2 : n, at);
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list args;
        va_start(args, flags);
        mode = (mode_t)va_arg(args, int);
        va_end(args);
        if (access(path, F_OK) != 0 && is_full())
            return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int mkdir(const char *path, mode_t mode)
{
    return is_full() ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

/* ---- a damaged byte */

static struct {
    int fd; /* -1: none */
    off_t at;
} damage = { -1, 0 };

static void flip(void)
{
    unsigned char byte;
    assert_int_equal(pread(damage.fd, &byte, 1, damage.at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(damage.fd, &byte, 1, damage.at), 1);
}

static void forget_damage(void)
{
    if (damage.fd >= 0)
        (void)close(damage.fd);
    damage.fd = -1;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum { FILES_MAX = 256 };

/* The files below the folder; the caller frees their names. */
static size_t list(const char *folder, char **files, size_t n)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL && n < FILES_MAX;) {
        char path[PATH_MAX];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        assert_true(snprintf(path, sizeof path, "%.3000s/%s", folder, e->d_name) < PATH_MAX);
        if (e->d_type == DT_DIR)
            n = list(path, files, n);
        else
            files[n++] = strdup(path);
    }
    (void)closedir(dir);
    return n;
}

/* Any byte of any file of a rank that does not run. */
static void damage_rank(struct cluster *c, size_t rank)
{
    char folder[PATH_MAX], *files[FILES_MAX];
    assert_true(snprintf(folder, sizeof folder, "%.3000s/rank-%zu", c->bench.env.dir, rank) > 0);
    const size_t n = list(folder, files, 0);
    qsort(files, n, sizeof *files, by_text);
    if (n > 0)
        damage.fd = open(files[rng_below(&c->rng, n)], O_RDWR);
    const off_t size = n > 0 ? lseek(damage.fd, 0, SEEK_END) : 0;
    for (size_t i = 0; i < n; i++)
        free(files[i]);
    if (size > 0) {
        damage.at = (off_t)rng_below(&c->rng, (uint64_t)size);
        flip();
    } else {
        forget_damage();
    }
}

/* ---- faults */

static void begin_faults(struct cluster *c)
{
    const size_t ranks = (size_t)c->params.ranks;
    const size_t kind = rng_below(&c->rng, 4);
    if (kind & 1) {
        c->ranks.death.rank = 1 + rng_below(&c->rng, ranks - 1);
        c->ranks.death.requests = 1 + rng_below(&c->rng, rng_below(&c->rng, 2) ? 4 : 20);
        c->ranks.death.replies_not = rng_below(&c->rng, 2);
    }
    full.rank = rng_below(&c->rng, ranks);
    full.writes = rng_below(&c->rng, rng_below(&c->rng, 2) ? 3 : 20);
    full.on = kind >= 2 && rng_below(&c->rng, 2);
}

static void end_faults(struct cluster *c)
{
    full.on = false;
    c->ranks.death.requests = 0;
    c->ranks.dies_after = 0;
}

/* ---- operations, which may fail */

static void try_insert(struct cluster *c, size_t n)
{
    float *rows = cluster_rows(c, n, 0);
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = 0, same;
    for (size_t i = 0; i < n; i++)
        ids[i] = c->next_id + i;
    const struct vectors v = { rows, n, DIM, INDEX_F32 };
    const int rc = index_insert(&c->index, v, ids, &done);
    assert_int_equal(done, rc == OK ? n : 0);
    error_clear(&c->bench.error);
    if (rc == OK)
        assert_ok(index_insert(&c->exact, v, ids, &same), &c->bench.error);
    /* Ids of rows that were not inserted are used again. */
    c->next_id += rc == OK ? n : 0;
    free(rows);
    free(ids);
}

static void try_remove(struct cluster *c, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t m = 0, done = 0, same;
    const uint64_t first = rng_below(&c->rng, c->next_id + 1);
    for (uint64_t i = 0; i < c->next_id && m < n; i++)
        if (idmap_get(&c->exact.live, (first + i) % c->next_id, NULL))
            ids[m++] = (first + i) % c->next_id;
    const int rc = index_remove(&c->index, ids, m, &done);
    assert_int_equal(done, rc == OK ? m : 0);
    error_clear(&c->bench.error);
    if (rc == OK)
        assert_ok(index_remove(&c->exact, ids, m, &same), &c->bench.error);
    free(ids);
}

static int try_maintain(struct cluster *c)
{
    bool more = true;
    int rc = OK;
    for (size_t i = 0; more && rc == OK && i < 100; i++)
        rc = index_maintain(&c->index, 0, &more);
    return rc;
}

/* So many rows come and go that logs are compacted. */
static void churn(struct cluster *c)
{
    for (size_t i = 0; i < 3; i++) {
        cluster_insert(c, 6000, 0);
        cluster_remove(c, 6000);
    }
}

static void operate(struct cluster *c)
{
    switch (rng_below(&c->rng, 6)) {
        case 0:
        case 1: try_insert(c, 1 + rng_below(&c->rng, 100)); break;
        case 2: try_insert(c, 1); break;
        case 3: try_remove(c, 1 + rng_below(&c->rng, 80)); break;
        case 4: try_remove(c, 1); break;
        default: (void)try_maintain(c); break;
    }
    error_clear(&c->bench.error);
}

/* ---- histories */

static void open_random(struct cluster *c, uint64_t seed)
{
    static const char *const placements[] = { "hash", "cluster", "range" };
    struct rng r = rng_at(test_seed(), 1000 + seed);
    char options[200];
    const size_t replicas = 1 + seed % 3;
    const size_t ranks = (replicas > 1 ? replicas : 2) + rng_below(&r, 2);
    const bool divf = rng_below(&r, 8) == 0;
    (void)snprintf(options, sizeof options,
                   "placement=%s,replicas=%zu,ranks=%zu,shards=%zu,buckets=%zu,balance=%s,"
                   "split_rows=%d,checkpoint_rows=%d%s",
                   placements[seed / 3 % 3], replicas, ranks, (size_t)(1 + rng_below(&r, 4)),
                   (size_t)(2 + rng_below(&r, 5)), rng_below(&r, 2) ? "1.05" : "100",
                   rng_below(&r, 3) ? 0 : 120, rng_below(&r, 2) ? 0 : 40, divf ? ",of=divf" : "");
    cluster_open(c, options);
    c->rng = rng_at(test_seed(), 2000 + seed);
    if (divf)
        strcpy(c->knobs.of_knobs, "nprobe=4194304");
}

/* Ranks that ran a moment ago, and perhaps a byte of one. */
static void kill_some(struct cluster *c)
{
    const size_t ranks = (size_t)c->params.ranks, one = 1 + rng_below(&c->rng, ranks - 1);
    for (size_t i = 1; i < ranks; i++)
        if (i == one || rng_below(&c->rng, 4) == 0)
            thread_ranks_kill(&c->ranks, i);
    if (rng_below(&c->rng, 3) > 0)
        damage_rank(c, one);
}

/* All is there, at once, or once the damaged byte is as it was. */
static void recover(struct cluster *c)
{
    size_t rows = 0;
    int rc = try_maintain(c);
    if (rc != OK && damage.fd >= 0) {
        const struct sharded *s = cluster_sharded(c);
        bool down = false;
        for (size_t i = 0; i < s->n_shards; i++) {
            bool up = false;
            for (size_t j = 0; j < sharded_replicas(s); j++)
                up |= s->shards[i].replicas[j].up;
            down |= !up;
        }
        assert_true(down);
        error_clear(&c->bench.error);
        flip();
        rc = try_maintain(c);
    }
    assert_ok(rc, &c->bench.error);
    forget_damage();
    cluster_check(c);
    assert_int_equal(cluster_search(c, 3), 0);
    cluster_range(c, 3);
    for (size_t i = 0; i < cluster_sharded(c)->n_shards; i++)
        rows += cluster_sharded(c)->shards[i].rows;
    assert_int_equal(rows, c->exact.live.n);
}

static void history(uint64_t seed)
{
    struct cluster c;
    open_random(&c, seed);
    cluster_train(&c, 100);
    cluster_insert(&c, 150, 0);
    if (seed % 40 == 0)
        churn(&c);
    for (size_t i = 0; i < 8; i++) {
        begin_faults(&c);
        operate(&c);
        if (!full.on)
            (void)cluster_search(&c, 2);
        if (rng_below(&c.rng, 3) == 0)
            (void)try_maintain(&c);
        error_clear(&c.bench.error);
        end_faults(&c);
        if (rng_below(&c.rng, 3) == 0)
            kill_some(&c);
        recover(&c);
        if (rng_below(&c.rng, 16) == 0)
            cluster_reload(&c);
    }
    cluster_close(&c);
}

/* DRIFTLINE_HISTORY: one of them alone. */
static void test_histories(void **state)
{
    const char *one = getenv("DRIFTLINE_HISTORY");
    const uint64_t first = one ? strtoull(one, NULL, 10) : 0;
    const uint64_t end = one ? first + 1 : test_is_long() ? 10000 : 200 / test_scale();
    for (uint64_t seed = first; seed < end; seed++) {
        fprintf(stderr, "history %" PRIu64 "\n", seed);
        history(seed);
    }
}

/* A copy that gets all rows, from a log that was compacted, is interrupted at any write. */
static void test_interrupted_copy(void **state)
{
    struct cluster c;
    char path[PATH_MAX];
    cluster_open(&c, "shards=1,ranks=2,replicas=2");
    cluster_insert(&c, 5000, 0);
    for (size_t i = 0; i < 4; i++) {
        cluster_insert(&c, 6000, 0);
        cluster_remove(&c, 6000);
    }
    cluster_maintain(&c);
    assert_true(cluster_sharded(&c)->local.copies[0]->log.base > 0); /* compacted */
    (void)snprintf(path, sizeof path, "%.3000s/rank-1/shard-0", c.bench.env.dir);
    full.rank = 1;
    size_t refused = 0;
    for (size_t at = 0;; at++) {
        bool more;
        thread_ranks_kill(&c.ranks, 1);
        log_remove_folder(path);
        full.writes = at;
        full.on = true;
        const int rc = index_maintain(&c.index, 0, &more);
        full.on = false;
        error_clear(&c.bench.error);
        if (rc == OK)
            break;
        refused++;
        assert_false(cluster_sharded(&c)->shards[0].replicas[1].up);
        thread_ranks_kill(&c.ranks, 1);
        cluster_maintain(&c);
        cluster_check(&c);
    }
    assert_true(refused > 4);
    cluster_check(&c);
    cluster_close(&c);
}

/* A deletion that fails in one shard takes back its own marks, not those of an earlier one that a replica could
   not log yet: its id is in another shard since. */
static void test_marks_of_an_earlier_deletion(void **state)
{
    struct cluster c;
    const uint64_t id = 5;
    size_t done;
    cluster_open(&c, "shards=2,ranks=2,replicas=2,placement=cluster,buckets=1");
    float *rows = cluster_rows(&c, 200, 0);
    for (size_t i = 100 * DIM; i < 200 * DIM; i++)
        rows[i] += 100;
    assert_ok(index_train(&c.index, (struct vectors){ rows, 200, DIM, INDEX_F32 }), &c.bench.error);
    cluster_insert(&c, 50, 0);
    full.rank = 1;
    full.writes = 0;
    full.on = true; /* as it logs what it has marked */
    assert_ok(index_remove(&c.index, &id, 1, &done), &c.bench.error);
    full.on = false;
    const struct vectors far = { rows + 150 * DIM, 1, DIM, INDEX_F32 };
    assert_ok(index_insert(&c.index, far, &id, &done), &c.bench.error);
    full.on = true;
    assert_code(index_remove(&c.index, &id, 1, &done), ERR_IO, &c.bench.error);
    full.on = false;
    cluster_check(&c);
    assert_ok(index_remove(&c.index, &id, 1, &done), &c.bench.error);
    cluster_check(&c);
    free(rows);
    cluster_close(&c);
}

int main(void)
{
    return test_run_all("sharded histories", test_interrupted_copy,
                        test_marks_of_an_earlier_deletion, test_histories);
}
