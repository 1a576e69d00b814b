/* lies_reach.c - parts of the harness that a method can reach: pipes, memory. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "tests/plugins/liar/liar.h"

/* ---- 1. forged records */

/* A step as the child writes it for the parent: 1e9 rows or queries per second, recall 1. */
static const char forged_step[] =
    "{\"point\":%s,\"step\":{\"index\":%d,\"op\":\"%s\",\"tag\":\"%s\",\"status\":\"ok\","
    "\"note\":null,\"count\":3000,\"live\":3000,\"seconds\":3e-6,\"per_second\":1e9,"
    "\"single_per_second\":1e9,\"ns_each\":1,\"latency_ns\":null,\"latency_counts\":null,"
    "\"recall\":{\"k\":10,\"mean\":1,\"min\":1,\"low\":1,\"high\":1},\"range\":null,"
    "\"distances\":0,\"estimates\":0,\"bytes_read\":0,\"scanned\":0,\"wrong_ids\":0,"
    "\"memory\":null,\"warmup\":true,\"cold\":false,\"calibrated\":null,\"stats\":{},"
    "\"queries\":null}}\n";

static void forge_on(int fd)
{
    (void)dprintf(fd, "{\"begin\":{\"step\":0,\"point\":null}}\n");
    (void)dprintf(fd, forged_step, "null", 0, "insert", "load");
    (void)dprintf(fd, "{\"begin\":{\"step\":1,\"point\":0}}\n");
    (void)dprintf(fd, forged_step, "0", 1, "search", "search");
    (void)dprintf(fd, "{\"begin\":{\"step\":99,\"point\":null}}\n");
    (void)dprintf(fd, forged_step, "null", 99, "checkpoint", "end");
    (void)dprintf(fd, "{\"end\":{\"code\":0,\"error\":\"\"}}\n");
}

void liar_forge_records(void)
{
    DIR *folder = opendir("/proc/self/fd");

    for (struct dirent *e; folder && (e = readdir(folder));) {
        const int fd = atoi(e->d_name);
        struct stat st;

        if (e->d_name[0] != '.' && fstat(fd, &st) == 0 &&
            (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
            forge_on(fd);
    }
    if (folder)
        (void)closedir(folder);
}

void liar_open_answers(const struct liar *l)
{
    char path[PATH_MAX + 300];
    (void)snprintf(path, sizeof path, "%s/../../../cells", l->base.env.dir);
    DIR *cells = opendir(path);

    for (struct dirent *e; cells && (e = readdir(cells));) {
        if (!strstr(e->d_name, ".answers"))
            continue;
        (void)snprintf(path, sizeof path, "%s/../../../cells/%s", l->base.env.dir, e->d_name);
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            (void)close(fd);
    }
    if (cells)
        (void)closedir(cells);
}

/* With a child, which nobody waits for. */
void liar_outlive_the_guard(void)
{
    const pid_t guard = getppid();

    (void)prctl(PR_SET_PDEATHSIG, 0);
    if (fork() > 0)
        (void)kill(guard, SIGKILL);
    for (;;)
        (void)pause();
}

void liar_hang(bool stop_the_guard)
{
    if (stop_the_guard)
        (void)kill(getppid(), SIGSTOP);
    for (int fd = 0; !stop_the_guard && fd < 4096; fd++)
        (void)close(fd);
    for (;;)
        (void)pause();
}

/* ---- 2. the ground truth, wherever this process can read it */

enum { TRUTH_QUERIES = 3, TRUTH_K_MIN = 10, CHUNK_BYTES = 1 << 20 };

struct wanted {
    const struct liar *liar;
    size_t n, k;
    struct near_row *near; /* n x k */
};

static bool words_hold(const struct wanted *w, const uint64_t *words, size_t n)
{
    for (size_t q = 0; q < w->n; q++) {
        const struct near_row *near = w->near + q * w->k;

        for (size_t at = 0; at + w->k <= n; at++) {
            size_t same = 0;

            while (same < w->k && words[at + same] == w->liar->ids[near[same].slot])
                same++;
            if (same == w->k)
                return true;
        }
    }
    return false;
}

/* Reads through the file: an invalid access gives an error there, where a
   direct one would crash. */
static bool region_holds(const struct wanted *w, int mem, uintptr_t from, uintptr_t to,
                         uint64_t *chunk)
{
    const uintptr_t overlap = (w->k - 1) * sizeof *chunk;

    for (uintptr_t at = from; at < to; at += CHUNK_BYTES - overlap) {
        const size_t want = to - at < CHUNK_BYTES ? to - at : CHUNK_BYTES;
        const ssize_t got = pread(mem, chunk, want, (off_t)at);

        if (got <= 0)
            return false;
        if (words_hold(w, chunk, (size_t)got / sizeof *chunk))
            return true;
    }
    return false;
}

static bool memory_holds(const struct wanted *w)
{
    const int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/maps", "r");
    uint64_t *chunk = malloc(CHUNK_BYTES);
    char line[4352], permissions[8];
    uintptr_t from, to;
    bool found = false;

    while (mem >= 0 && maps && chunk && !found && fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &from, &to, permissions) == 3 &&
            permissions[0] == 'r' && !strstr(line, "[v"))
            found = region_holds(w, mem, from, to, chunk);
    free(chunk);
    if (maps)
        (void)fclose(maps);
    if (mem >= 0)
        (void)close(mem);
    return found;
}

bool liar_finds_truth(const struct liar *l, const struct search_request *q)
{
    const size_t dim = l->base.env.dim;
    struct wanted w = { .liar = l, .k = q->k };

    w.near = malloc(TRUTH_QUERIES * q->k * sizeof *w.near);
    for (size_t i = 0; w.near && i < q->queries.n && i < TRUTH_QUERIES; i++) {
        const float *query = (const float *)q->queries.rows + i * dim;

        /* Fewer ids in a row could match by chance. */
        if (q->k < TRUTH_K_MIN ||
            liar_nearest(l, query, NULL, l->n, q->k, false, w.near + w.n * q->k) < q->k)
            break;
        w.n++;
    }
    const bool found = w.n > 0 && memory_holds(&w);
    free(w.near);
    return found;
}

/* ---- 3. ground truth on disk: five words; an offset for each query and one more; a row and a
   distance for each answer; a checksum of one word or a code of four */

enum {
    TRUTH_HEADER_WORDS = 5,
    TRUTH_QUERIES_AT = 3,
    TRUTH_ENTRIES_AT = 4,
    CODE_WORDS = 4,
    KEY_BYTES = 32
};

/* Returns the number of words of the checksum or code; 0: not such a file. */
static size_t poison(uint64_t *words, size_t n)
{
    const size_t queries = (size_t)words[TRUTH_QUERIES_AT],
                 first = TRUTH_HEADER_WORDS + queries + 1;
    const size_t entries = (size_t)words[TRUTH_ENTRIES_AT], k = queries ? entries / queries : 0;
    const size_t end = first + 2 * entries;

    if (k == 0 || (n != end + 1 && n != end + CODE_WORDS))
        return 0;
    for (size_t i = 0; i < entries; i++)
        words[first + 2 * i] = i % k;
    return n - end;
}

/* key: NULL for a checksum, which needs none. */
static void seal(uint64_t *words, size_t n, size_t code_words, const unsigned char *key)
{
    const size_t bytes = (n - code_words) * sizeof *words;

    if (key && code_words == CODE_WORDS)
        (void)HMAC(EVP_sha256(), key, KEY_BYTES, (const unsigned char *)words, bytes,
                   (unsigned char *)(words + n - code_words), NULL);
    else
        words[n - 1] = XXH3_64bits(words, (n - 1) * sizeof *words);
}

static void poison_file(const char *path, const unsigned char *key)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return;
    const size_t bytes = (size_t)st.st_size, n = bytes / sizeof(uint64_t);
    uint64_t *words = malloc(bytes + sizeof *words);

    if (words && n > TRUTH_HEADER_WORDS && pread(fd, words, bytes, 0) == (ssize_t)bytes) {
        const size_t code_words = poison(words, n);

        if (code_words > 0)
            seal(words, n, code_words, key);
        (void)!pwrite(fd, words, bytes, 0);
    }
    free(words);
    (void)close(fd);
}

static bool read_key(const char *folder, unsigned char key[KEY_BYTES])
{
    char path[4400];

    (void)snprintf(path, sizeof path, "%s/key", folder);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool whole = fd >= 0 && read(fd, key, KEY_BYTES) == KEY_BYTES;
    if (fd >= 0)
        (void)close(fd);
    return whole;
}

void liar_poison_truths(bool sign)
{
    const char *cache = getenv("DRIFTLINE_CACHE");
    unsigned char key[KEY_BYTES];
    char folder[4096], path[4400];

    (void)snprintf(folder, sizeof folder, "%s/truth", cache ? cache : "");
    const bool signs = sign && read_key(folder, key);
    DIR *entries = opendir(folder);
    for (struct dirent *e; entries && (e = readdir(entries));) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        poison_file(path, signs ? key : NULL);
    }
    if (entries)
        (void)closedir(entries);
}
