/* test_faults.c - every method with an allocator that fails and with saved files that
 * are damaged. */
#include "tests/contract/world.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

/* ------------------------------------------------------------------------------ allocator */

/* After a failure: the right code and a sentence, a sound index; then the fault is lifted, so that
   a retry must work. */
static void recover(struct world *w, int rc, const char *doing)
{
    struct mem *mem = &w->bench.mem;
    w->calls_failed = atomic_load(&mem->calls);
    world_expect(w, rc == ERR_NO_MEMORY && w->bench.error.code == rc && *w->bench.error.text,
                 "%s with failing allocation %zu%s: %s: %s", doing, mem->fail_at,
                 mem->fail_after ? "+" : "", error_name(rc), w->bench.error.text);
    error_clear(&w->bench.error);
    mem->fail_at = 0;
    mem->limit_bytes = 0; /* check() needs memory of its own */
    if (w->index.index && !w->index.in_transaction)
        world_check(w);
}

static void insert_through(struct world *w, size_t n)
{
    void *rows = world_rows(w, n);
    uint64_t *ids = calloc(n, sizeof *ids);
    world_expect(w, ids, "no memory");
    for (size_t i = 0; i < n; i++)
        ids[i] = w->next_id++;
    size_t done;
    int rc = index_insert(&w->index, world_vectors(w, rows, n), ids, &done);
    world_note_inserted(w, rows, ids, done);
    if (rc != OK) {
        recover(w, rc, "insert");
        const size_t first = done;
        const char *rest = (const char *)rows + first * w->row_bytes;
        world_ok(w, index_insert(&w->index, world_vectors(w, rest, n - first), ids + first, &done));
        world_note_inserted(w, rest, ids + first, done);
    }
    free(rows);
    free(ids);
}

static void remove_through(struct world *w, size_t n)
{
    uint64_t ids[64];
    for (size_t i = 0; i < n; i++)
        ids[i] = w->ids[2 * i];
    size_t done;
    int rc = index_remove(&w->index, ids, n, &done);
    for (size_t i = 0; i < done; i++)
        world_note_removed(w, ids[i]);
    if (rc == OK)
        return;
    const size_t first = done;
    recover(w, rc, "remove");
    world_ok(w, index_remove(&w->index, ids + first, n - first, &done));
    for (size_t i = 0; i < done; i++)
        world_note_removed(w, ids[first + i]);
}

static void search_through(struct world *w, size_t threads)
{
    enum { NQ = 17, NEAR = 7 }; /* so many that methods group them */
    uint64_t ids[NQ * NEAR];
    float distances[NQ * NEAR];
    void *queries = world_rows(w, NQ);
    const struct search_request request = { world_vectors(w, queries, NQ), NEAR, w->knobs, NULL,
                                            threads };
    struct search_result result = { .ids = ids, .distances = distances };
    /* Whether its answers are right otherwise is test_contract.c's. */
    const int rc = index_search(&w->index, &request, &result);
    if (rc != OK) {
        recover(w, rc, "search");
        world_answers(w, queries, NQ, NEAR, NULL, threads, ids, distances);
    }
    free(queries);
}

static int count_found(void *to, size_t query, uint64_t id, float distance)
{
    ++*(size_t *)to;
    return OK;
}

static void range_through(struct world *w)
{
    size_t n = 0;
    void *query = world_rows(w, 1);
    const struct range_request request = { world_vectors(w, query, 1), world_radius(w, 1e30),
                                           w->knobs, NULL, 2 };
    struct range_result result = { .found = count_found, .to = &n };
    const int rc = w->ops->range ? index_range(&w->index, &request, &result) : OK;
    if (rc != OK) {
        recover(w, rc, "range");
        world_range(w, 1, NULL);
    }
    free(query);
}

/* Rows of a life. It is lived once or twice for each allocation in it, so few: enough for what is
   built at 40 rows, for splits by the next and for merges by what is removed. */
enum { FIRST_ROWS = 40, MORE_ROWS = 30, REMOVED_ROWS = 26, LAST_ROWS = 14 };

/* A life of an index; each operation may hit the fault, recovers and is done again. */
static void life(struct world *w)
{
    bool more;
    int rc = world_open(w);
    if (rc != OK) {
        recover(w, rc, "create");
        world_ok(w, world_open(w));
    }
    if (w->ops->train) {
        void *sample = world_rows(w, 60);
        rc = index_train(&w->index, world_vectors(w, sample, 60));
        if (rc != OK) {
            recover(w, rc, "train");
            world_ok(w, index_train(&w->index, world_vectors(w, sample, 60)));
        }
        free(sample);
    }
    insert_through(w, FIRST_ROWS);
    insert_through(w, MORE_ROWS);
    search_through(w, 1);
    search_through(w, 3);
    range_through(w);
    if (w->ops->remove)
        remove_through(w, REMOVED_ROWS);
    rc = w->ops->maintain ? index_maintain(&w->index, 0, &more) : OK;
    if (rc != OK) {
        recover(w, rc, "maintain");
        world_ok(w, index_maintain(&w->index, 0, &more));
    }
    insert_through(w, LAST_ROWS);
    /* Where the fault came earlier there is nothing to learn here, and disks are slow. */
    if (w->ops->save && w->ops->load && !atomic_load(&w->bench.mem.failed)) {
        rc = index_save(&w->index, w->saved);
        if (rc != OK) {
            recover(w, rc, "save");
            world_ok(w, index_save(&w->index, w->saved));
        }
        struct checked loaded;
        world_other_folder(w);
        rc = index_open_saved(&loaded, w->ops, &w->bench.env, w->saved, &w->index);
        if (rc != OK) {
            recover(w, rc, "load");
            world_ok(w, index_open_saved(&loaded, w->ops, &w->bench.env, w->saved, &w->index));
        }
        index_close(&w->index);
        w->index = loaded;
    }
    search_through(w, 1);
    w->bench.mem.fail_at = 0; /* check() may allocate, and is not to be tested */
    world_check(w);
}

static void start_afresh(struct world *w)
{
    index_close(&w->index);
    const size_t left = mem_live(&w->bench.mem);
    world_expect(w, left == 0, "%zu bytes leak with failing allocation %zu", left, w->step);
    w->n = w->n_retired = 0;
    w->next_id = 0;
    test_dir_clear(w->state);
    test_dir_clear(w->saved);
}

/* The at-th allocation from now on fails, and if persistent every later one. */
static void arm(struct world *w, size_t at, bool persistent)
{
    struct mem *mem = &w->bench.mem;
    atomic_store(&mem->calls, 0);
    atomic_store(&mem->failed, false);
    mem->fail_at = at;
    mem->fail_after = persistent;
}

/* The at-th allocation fails, and if persistent every later one of that operation; whether it was
   asked for at all. */
static bool life_with_fault(struct world *w, size_t at, bool persistent)
{
    struct mem *mem = &w->bench.mem;
    w->step = at;
    w->calls_failed = 0;
    w->rng = rng_at(test_seed(), 7);
    arm(w, at, persistent);
    life(w);
    mem->fail_at = 0;
    start_afresh(w);
    return atomic_load(&mem->failed);
}

static void test_allocator(struct world *w)
{
    if (w->flags & BASELINE) {
        if (w->dim == 1)
            print_message("           %s allocates inside its library: skipped\n", w->ops->name);
        return;
    }
    /* What is allocated does not depend on the metric. */
    if ((w->dim != 7 || !world_is_first_metric(w)) && w->dim != 64)
        return;
    bool hit = true;
    for (size_t i = 1; hit; i = world_next_fault(w, i)) {
        hit = life_with_fault(w, i, false);
        /* An operation that gave up at once asked for nothing more that could have failed too. */
        if (w->calls_failed != i)
            hit |= life_with_fault(w, i, true);
    }
    if (w->step == 1 && (w->flags & PLUGIN))
        print_message("           %s asks env.mem for nothing: skipped\n", w->ops->name);
    else
        world_expect(w, w->step > 1, "no allocation was ever asked of env.mem");
}

/* ---- transactions */

/* A commit that failed has done nothing: the state is as before it, and it may be tried again or
   taken back. */
static void commit_through(struct world *w, struct past *before, bool again)
{
    const int rc = index_commit(&w->index, NULL);
    if (rc == OK)
        return;
    recover(w, rc, "commit");
    world_search_past(w, before, 9);
    if (again)
        world_ok(w, index_commit(&w->index, NULL));
    else
        world_rollback(w, before);
}

static void live_transaction(struct world *w, bool again)
{
    enum { QUERIES = 6, K = 9 };
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
    uint64_t version = 0;
    int rc = index_begin(&w->index);
    struct past before = world_past(w);
    if (rc != OK) {
        recover(w, rc, "begin");
        world_ok(w, index_begin(&w->index));
    }
    insert_through(w, 30);
    remove_through(w, 20);
    commit_through(w, &before, again);
    if ((rc = index_snapshot(&w->index, &version)) != OK) {
        recover(w, rc, "snapshot");
        world_ok(w, index_snapshot(&w->index, &version));
    }
    void *queries = world_rows(w, QUERIES);
    const struct search_request request = { world_vectors(w, queries, QUERIES), K, w->knobs, NULL,
                                            1 };
    struct search_result result = { .ids = ids, .distances = distances };
    if ((rc = index_search_as_of(&w->index, version, &request, &result)) != OK) {
        recover(w, rc, "search as of a snapshot");
        world_ok(w, index_search_as_of(&w->index, version, &request, &result));
    }
    world_expect_answers(w, queries, QUERIES, K, NULL, ids, distances);
    world_ok(w, index_release(&w->index, version));
    free(queries);
    world_forget(&before);
    w->bench.mem.fail_at = 0;
    world_check(w);
    world_search(w, 2, K, NULL, 1);
}

/* From begin() to the release of a snapshot. */
static void test_transactions(struct world *w)
{
    if (!w->ops->txn || (w->flags & BASELINE) || (w->dim != 7 && w->dim != 64) ||
        (w->space.metric != INDEX_L2SQ && w->dim != 64))
        return;
    bool hit = true;
    for (size_t i = 1; hit; i = world_next_fault(w, i)) {
        hit = false;
        for (int persistent = 0; persistent < 2; persistent++) {
            struct mem *mem = &w->bench.mem;
            w->step = i;
            w->rng = rng_at(test_seed(), 7);
            world_begin_with(w, 60);
            arm(w, i, persistent);
            live_transaction(w, (i + (size_t)persistent) % 2);
            hit |= atomic_load(&mem->failed);
            start_afresh(w);
        }
    }
    world_expect(w, w->step > 1, "no allocation was ever asked of env.mem");
}

/* A limit instead of a count: the index must stay whole when it is full. */
static void test_memory_limit(struct world *w)
{
    if ((w->flags & BASELINE) || w->dim != 32)
        return;
    world_begin_with(w, 100);
    w->bench.mem.limit_bytes = mem_live(&w->bench.mem) + 20000;
    int rc = OK;
    for (size_t i = 0; i < 100 && rc == OK; i++) {
        void *rows = world_rows(w, 50);
        uint64_t ids[50];
        for (size_t j = 0; j < 50; j++)
            ids[j] = w->next_id++;
        size_t done;
        rc = index_insert(&w->index, world_vectors(w, rows, 50), ids, &done);
        world_note_inserted(w, rows, ids, done);
        free(rows);
    }
    /* Rows in a mapped file may go on for ever. */
    if (rc != OK)
        recover(w, rc, "insert at the limit");
    w->bench.mem.limit_bytes = 0;
    world_check(w);
    world_search(w, 3, 10, NULL, 1);
    world_insert(w, 50);
    world_check(w);
}

/* ----------------------------------------------------------------------------- saved files */

struct file {
    char path[PATH_MAX];
    unsigned char *bytes;
    size_t n;
};

/* In place: truncating and writing anew makes a file system flush each time. */
static void put_bytes(struct world *w, const struct file *f, size_t first, size_t n, size_t length)
{
    const int fd = open(f->path, O_WRONLY | O_CREAT, 0666);
    world_expect(w,
                 fd >= 0 && pwrite(fd, f->bytes + first, n, (off_t)first) == (ssize_t)n &&
                     ftruncate(fd, (off_t)length) == 0,
                 "cannot write %s", f->path);
    (void)close(fd);
}

static void read_file(struct world *w, struct file *f, int fd, size_t n)
{
    f->n = n;
    f->bytes = malloc(n + 64);
    world_expect(w, f->bytes && read(fd, f->bytes, n) == (ssize_t)n, "cannot read %s", f->path);
}

/* Appends the files of a folder and of the folders in it. */
static void read_files(struct world *w, const char *folder, struct file *files, size_t most,
                       size_t *n)
{
    DIR *dir = opendir(folder);
    world_expect(w, dir, "cannot list %s", folder);
    for (struct dirent *e = readdir(dir); e && *n < most; e = readdir(dir)) {
        if (e->d_name[0] == '.')
            continue;
        struct file *f = &files[*n];
        world_expect(w, snprintf(f->path, sizeof f->path, "%.3000s/%.255s", folder, e->d_name) > 0,
                     "path");
        const int fd = open(f->path, O_RDONLY);
        struct stat st;
        world_expect(w, fd >= 0 && fstat(fd, &st) == 0, "cannot open %s", f->path);
        if (S_ISDIR(st.st_mode)) {
            char inner[PATH_MAX];
            strcpy(inner, f->path);
            read_files(w, inner, files, most, n);
        } else {
            ++*n;
            read_file(w, f, fd, (size_t)st.st_size);
        }
        (void)close(fd);
    }
    (void)closedir(dir);
}

/* Damage must be an error; where a load succeeds nevertheless, the answers must be right. */
static void expect_noticed(struct world *w, const char *what, const struct file *f, size_t at)
{
    struct checked loaded;
    test_dir_clear(w->state);
    const int rc = index_open_saved(&loaded, w->ops, &w->bench.env, w->saved, &w->index);
    world_expect(w, rc != OK, "%s: %s at byte %zu of %zu was not noticed", f->path, what, at, f->n);
    world_expect(w, w->bench.error.code == rc && *w->bench.error.text,
                 "%s: %s at byte %zu: %s without a sentence", f->path, what, at, error_name(rc));
    error_clear(&w->bench.error);
}

static void damage(struct world *w, struct file *f)
{
    for (size_t i = 0; i < 160 && f->n > 0; i++) {
        /* Each byte of a head, then anywhere. */
        const size_t at = i < 100 ? i * 2 : (size_t)rng_below(&w->rng, f->n);
        if (at >= f->n)
            continue;
        const unsigned char was = f->bytes[at];
        f->bytes[at] ^= (unsigned char)(1U << rng_below(&w->rng, 8));
        put_bytes(w, f, at, 1, f->n);
        expect_noticed(w, "a flipped bit", f, at);
        f->bytes[at] = was;
        put_bytes(w, f, at, 1, f->n);
    }
    for (size_t i = 0; i < 12; i++) {
        const size_t length = i == 0 ? 0 : i == 1 ? f->n - 1 : (size_t)rng_below(&w->rng, f->n);
        put_bytes(w, f, 0, 0, length);
        expect_noticed(w, "the end", f, length);
        put_bytes(w, f, 0, f->n, f->n);
    }
    memset(f->bytes + f->n, 0, 64);
    put_bytes(w, f, f->n, 64, f->n + 64);
    expect_noticed(w, "64 more bytes", f, f->n);
    put_bytes(w, f, 0, 0, f->n); /* before it goes: the running index may have a link to it */
    (void)unlink(f->path);
    expect_noticed(w, "a missing file", f, 0);
    put_bytes(w, f, 0, f->n, f->n);
}

/* What was saved opens in its own space alone. */
static void refuse_other_spaces(struct world *w)
{
    struct checked loaded;
    struct index_env *env = &w->bench.env;
    if (w->dim != 64) {
        env->dim++;
        test_dir_clear(w->state);
        world_refuses(w, ERR_DIMENSION,
                      index_open_saved(&loaded, w->ops, env, w->saved, &w->index));
        env->dim--;
    }
    for (const struct index_space *s = w->ops->spaces; (int)s->element != -1; s++) {
        if ((s->element == w->space.element && s->metric == w->space.metric) ||
            (s->element == INDEX_B64 && w->dim != 64))
            continue;
        env->element = s->element;
        env->metric = s->metric;
        test_dir_clear(w->state);
        world_refuses(w, ERR_DIMENSION,
                      index_open_saved(&loaded, w->ops, env, w->saved, &w->index));
    }
    env->element = w->space.element;
    env->metric = w->space.metric;
}

static void test_damaged_files(struct world *w)
{
    if (!w->ops->save || !w->ops->load || (w->dim != 7 && w->dim != 64) ||
        !world_is_first_metric(w)) /* it is a byte of the files */
        return;
    world_begin_with(w, 120);
    world_remove(w, 30);
    world_ok(w, index_save(&w->index, w->saved));
    struct file files[16];
    size_t n = 0;
    read_files(w, w->saved, files, 16, &n);
    world_expect(w, n > 0, "save() left no file");
    /* Only what is loaded is damaged; the running index keeps its own state elsewhere. */
    char running[PATH_MAX];
    strcpy(running, w->state);
    world_expect(w,
                 snprintf(w->state, sizeof w->state, "%.4000s/load", w->dir) > 0 &&
                     mkdir(w->state, 0777) == 0,
                 "mkdir");
    for (size_t i = 0; i < n; i++)
        damage(w, &files[i]);

    refuse_other_spaces(w);
    test_dir_clear(w->state);
    w->step++;
    world_expect(w, world_reload(w), "reload");
    world_check(w);
    world_search(w, 3, 10, NULL, 1);
    for (size_t i = 0; i < n; i++)
        free(files[i].bytes);
}

/* A folder that cannot be written: an error, the index unharmed. */
static void test_save_nowhere(struct world *w)
{
    if (!w->ops->save || w->dim != 7)
        return;
    world_begin_with(w, 50);
    char nowhere[PATH_MAX];
    world_expect(w, snprintf(nowhere, sizeof nowhere, "%.4000s/no/such/folder", w->dir) > 0,
                 "path");
    const int rc = index_save(&w->index, nowhere);
    world_refuses(w, (w->flags & BASELINE) && rc == ERR_BASELINE ? ERR_BASELINE : ERR_IO, rc);
    world_check(w);
    world_search(w, 2, 5, NULL, 1);
}

int main(void)
{
    return world_run("faults", test_allocator, test_transactions, test_memory_limit,
                     test_damaged_files, test_save_nowhere);
}
