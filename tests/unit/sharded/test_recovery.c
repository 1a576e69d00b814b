/* test_recovery.c - what a lost rank has on its files comes back whole, or its shard stays down and
 * nothing is removed; what was acknowledged stays so. */
#include <sys/stat.h>

#include "algorithms/common/durable/folder_claim.h"
#include "tests/support/index_folder.h"
#include "tests/unit/sharded/cluster.h"

static void path_of_shard(const struct cluster *c, size_t rank, size_t shard, const char *name,
                          char path[PATH_MAX])
{
    assert_true(snprintf(path, PATH_MAX, "%.3000s/rank-%zu/shard-%zu/%s", c->bench.env.dir, rank,
                         shard, name) < PATH_MAX);
}

/* Rank 1 is killed at its n-th request from now on. */
static void dies_at(struct cluster *c, size_t n)
{
    c->ranks.death.rank = 1;
    c->ranks.death.requests = n;
    c->ranks.death.replies_not = false;
}

static size_t rows_of_shards(struct cluster *c)
{
    size_t rows = 0;
    for (size_t i = 0; i < cluster_sharded(c)->n_shards; i++)
        rows += cluster_sharded(c)->shards[i].rows;
    return rows;
}

static double missing(struct cluster *c)
{
    return test_stat(c->index.index, "rows_missing");
}

/* An index of two shards with 500 rows, whose rank 1 is killed. Returns the rows of its shard, 1. */
static size_t open_without_rank_1(struct cluster *c, const char *options)
{
    cluster_open(c, options);
    cluster_insert(c, 400, 0);
    cluster_insert(c, 100, 0);
    thread_ranks_kill(&c->ranks, 1);
    return cluster_sharded(c)->shards[1].rows;
}

static void assert_whole(struct cluster *c)
{
    cluster_maintain(c);
    cluster_check(c);
    assert_int_equal(cluster_search(c, 12), 0);
    assert_int_equal(rows_of_shards(c), c->exact.live.n);
    assert_true(missing(c) == 0);
}

/* The shard of rank 1 is not answered for, and maintenance says why. */
static void assert_down(struct cluster *c, size_t rows)
{
    bool more;
    for (size_t i = 0; i < 2; i++) {
        const int rc = index_maintain(&c->index, 0, &more);
        assert_int_not_equal(rc, OK);
        assert_non_null(strstr(c->bench.error.text, "shard 1"));
        error_clear(&c->bench.error);
        assert_false(cluster_sharded(c)->shards[1].replicas[0].up);
        assert_true(missing(c) == (double)rows);
        assert_int_equal(cluster_search(c, 5), 5);
    }
}

/* ---- files that cannot be read, or are damaged */

/* A log that cannot be opened for a moment is not replaced by an empty one. (Root reads all, so the
   file is a link to itself.) */
static void test_unreadable_log(void **state)
{
    struct cluster c;
    char path[PATH_MAX], away[PATH_MAX];
    const size_t rows = open_without_rank_1(&c, "shards=2,ranks=2");
    path_of_shard(&c, 1, 1, "log.1/journal.000001", path);
    path_of_shard(&c, 1, 1, "log.1/away", away);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(symlink(path, path), 0);
    assert_down(&c, rows);
    assert_int_equal(rename(away, path), 0);
    assert_whole(&c);
    cluster_close(&c);
}

static void flip(const char *path)
{
    const struct bytes b = bytes_read(path);
    b.at[b.n / 2] ^= 0x10;
    bytes_write(path, b.at, b.n);
    free(b.at);
}

static void flip_below(const char *folder, const char *prefix)
{
    char inner[PATH_MAX];
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.' || strncmp(e->d_name, prefix, strlen(prefix)) != 0)
            continue;
        assert_true(snprintf(inner, sizeof inner, "%.3000s/%s", folder, e->d_name) < PATH_MAX);
        if (e->d_type == DT_DIR)
            flip_below(inner, "");
        else
            flip(inner);
    }
    (void)closedir(dir);
}

/* The log is whole, so it does without the checkpoint. */
static void test_damaged_checkpoint(void **state)
{
    struct cluster c;
    char path[PATH_MAX];
    uint64_t lsn;
    (void)open_without_rank_1(&c, "shards=2,ranks=2,checkpoint_rows=150");
    path_of_shard(&c, 1, 1, "", path);
    assert_true(file_newest(path, "index-1-", UINT64_MAX, &lsn));
    assert_true(lsn > 0);
    flip_below(path, "index-");
    assert_whole(&c);
    cluster_close(&c);
}

static void test_damaged_log(void **state)
{
    static const char *const options[] = { "shards=2,ranks=2",
                                           "shards=2,ranks=2,checkpoint_rows=150" };
    for (size_t i = 0; i < 2; i++) {
        struct cluster c;
        char path[PATH_MAX];
        const size_t rows = open_without_rank_1(&c, options[i]);
        path_of_shard(&c, 1, 1, "log.1/journal.000001", path);
        flip(path);
        assert_down(&c, rows);
        flip(path); /* all that was there is there still */
        assert_whole(&c);
        cluster_close(&c);
    }
}

/* With another replica, the copy is made anew. */
static void test_damaged_replica(void **state)
{
    struct cluster c;
    char path[PATH_MAX];
    (void)open_without_rank_1(&c, "shards=2,ranks=2,replicas=2,checkpoint_rows=150");
    path_of_shard(&c, 1, 1, "log.1/journal.000001", path);
    flip(path);
    assert_whole(&c);
    assert_true(cluster_sharded(&c)->shards[1].replicas[0].up);
    assert_true(cluster_sharded(&c)->shards[1].replicas[1].up);
    cluster_close(&c);
}

/* Only the replica that has less is left: it does not stand for the shard. */
static void test_older_replica_alone(void **state)
{
    struct cluster c;
    char path[PATH_MAX], away[PATH_MAX];
    bool more;
    cluster_open(&c, "shards=3,ranks=3,replicas=2");
    struct sharded *s = cluster_sharded(&c);
    size_t shard = 0;
    while (s->shards[shard].replicas[0].rank + s->shards[shard].replicas[1].rank != 3)
        shard++; /* on ranks 1 and 2 */
    cluster_insert(&c, 300, 0);
    thread_ranks_kill(&c.ranks, 1);
    cluster_insert(&c, 300, 0);
    thread_ranks_kill(&c.ranks, 2);
    assert_int_equal(cluster_search(&c, 3), 3);
    path_of_shard(&c, 2, shard, "log.1/journal.000001", path);
    path_of_shard(&c, 2, shard, "log.1/away", away);
    assert_int_equal(rename(path, away), 0);
    assert_int_not_equal(index_maintain(&c.index, 0, &more), OK);
    error_clear(&c.bench.error);
    assert_false(s->shards[shard].replicas[0].up || s->shards[shard].replicas[1].up);
    assert_true(missing(&c) == (double)s->shards[shard].rows);
    assert_int_equal(rename(away, path), 0);
    assert_whole(&c);
    cluster_close(&c);
}

/* A crash between the end of a compaction and the removal of the log before leaves both. */
static void test_log_before_is_removed(void **state)
{
    struct cluster c;
    char path[PATH_MAX];
    cluster_open(&c, "shards=2,ranks=2");
    for (size_t i = 0; i < 12; i++) {
        cluster_insert(&c, 4000, 0);
        cluster_remove(&c, 3990);
    }
    cluster_maintain(&c);
    path_of_shard(&c, 1, 1, "log.2", path);
    assert_int_equal(access(path, F_OK), 0); /* compacted */
    path_of_shard(&c, 1, 1, "log.1", path);
    assert_int_equal(mkdir(path, 0700), 0);
    thread_ranks_kill(&c.ranks, 1);
    assert_int_equal(cluster_search(&c, 1), 1);
    assert_whole(&c);
    assert_int_not_equal(access(path, F_OK), 0);
    cluster_close(&c);
}

/* A rank that was only silent may write in its folder still: another one does not begin there. */
static void test_folder_in_use(void **state)
{
    struct cluster c;
    char path[PATH_MAX];
    int fd;
    cluster_open(&c, "shards=2,ranks=2");
    cluster_insert(&c, 200, 0);
    const size_t rows = cluster_sharded(&c)->shards[1].rows;
    (void)snprintf(path, sizeof path, "%.3000s/rank-1", c.bench.env.dir);
    assert_code(folder_claim(path, &fd, &c.bench.error), ERR_IO, &c.bench.error);
    thread_ranks_kill(&c.ranks, 1);
    assert_ok(folder_claim(path, &fd, &c.bench.error), &c.bench.error);
    assert_down(&c, rows);
    (void)close(fd);
    assert_whole(&c);
    cluster_close(&c);
}

/* ---- deletions */

/* The rank dies at the n-th request of a deletion: it is done, or it has failed and is not. */
static void test_removal_as_rank_dies(void **state)
{
    for (size_t at = 1; at <= 3; at++)
        for (size_t n = 1; n <= 80; n += 79)
            for (size_t replies_not = 0; replies_not < 2; replies_not++) {
                struct cluster c;
                uint64_t ids[80];
                size_t done;
                cluster_open(&c, "shards=2,ranks=2");
                cluster_insert(&c, 200, 0);
                for (size_t i = 0; i < n; i++)
                    ids[i] = 20 + i;
                dies_at(&c, at);
                c.ranks.death.replies_not = replies_not > 0;
                const int rc = index_remove(&c.index, ids, n, &done);
                assert_int_equal(done, rc == OK ? n : 0);
                error_clear(&c.bench.error);
                if (rc == OK)
                    assert_ok(index_remove(&c.exact, ids, n, &done), &c.bench.error);
                c.ranks.death.requests = 0;
                assert_whole(&c);
                for (size_t i = 0; i < n; i++)
                    ids[i] += rc == OK ? n : 0;
                assert_ok(index_remove(&c.index, ids, n, &done), &c.bench.error);
                assert_ok(index_remove(&c.exact, ids, n, &done), &c.bench.error);
                assert_whole(&c);
                cluster_close(&c);
            }
}

/* ---- loading */

/* The bucket of an id is a hash with the seed that the index was made with. */
static void test_loaded_with_another_seed(void **state)
{
    struct cluster c;
    cluster_open(&c, "shards=3,ranks=2,placement=hash");
    cluster_insert(&c, 300, 0);
    c.bench.env.seed++;
    cluster_reload(&c);
    cluster_check(&c);
    cluster_remove(&c, 50);
    cluster_insert(&c, 50, 0);
    assert_whole(&c);
    cluster_close(&c);
}

/* A recovery that runs out of memory, when its index has some rows of a record already, leaves the log as
   it is: symqg builds of the first rows and adds the others one by one. */
static void test_recovery_out_of_memory(void **state)
{
    enum { FIRST = 40, N = 100 };
    struct cluster c;
    char folder[PATH_MAX];
    uint64_t ids[N];
    uint32_t buckets[N] = { 0 };
    float rows[N * DIM];
    struct shard_copy *copy;
    cluster_open(&c, "shards=1");
    assert_true(snprintf(folder, sizeof folder, "%.3000s/copy", c.bench.env.dir) < PATH_MAX);
    const struct index_ops *symqg = registry_find(&c.registry, "symqg", &c.bench.error);
    test_fill_f32(&c.rng, rows, N, DIM, 0, 1);
    for (size_t i = 0; i < N; i++)
        ids[i] = i;
    const struct log_record records[] = { { .op = LOG_INSERT,
                                            .ends = true,
                                            .n = FIRST,
                                            .ids = ids,
                                            .buckets = buckets,
                                            .rows = rows },
                                          { .op = LOG_INSERT,
                                            .ends = true,
                                            .n = N - FIRST,
                                            .ids = ids + FIRST,
                                            .buckets = buckets,
                                            .rows = rows + FIRST * DIM } };
    assert_ok(copy_new(&copy, &c.bench.env, symqg, "", folder), &c.bench.error);
    assert_ok(copy_create(copy), &c.bench.error);
    assert_ok(log_end_base(&copy->log, 0), &c.bench.error);
    for (size_t i = 0; i < 2; i++)
        assert_ok(copy_do(copy, &records[i], true, true), &c.bench.error);
    const uint64_t bytes = log_bytes(&copy->log);
    copy_destroy(copy);
    int rc = ERR_NO_MEMORY;
    for (size_t i = 1; rc != OK; i++) {
        c.bench.mem.fail_at = c.bench.mem.calls + i;
        rc = copy_new(&copy, &c.bench.env, symqg, "", folder);
        rc = rc ? rc : copy_recover(copy);
        if (rc != OK)
            copy_destroy(copy);
        error_clear(&c.bench.error);
    }
    c.bench.mem.fail_at = 0;
    assert_int_equal(log_bytes(&copy->log), bytes);
    assert_int_equal(copy->live.n, N);
    copy_destroy(copy);
    cluster_close(&c);
}

int main(void)
{
    return test_run_all("sharded recovery", test_unreadable_log, test_damaged_checkpoint,
                        test_damaged_log, test_damaged_replica, test_older_replica_alone,
                        test_log_before_is_removed, test_folder_in_use, test_removal_as_rank_dies,
                        test_loaded_with_another_seed, test_recovery_out_of_memory);
}
