/* cache.c - see cache.h. Authentication code and shape of a file are checked before
   its content is used. */
#define _GNU_SOURCE
#include "src/truth/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/atomic_file.h"
#include "src/base/path.h"
#include "src/core/mem.h"
#include "src/core/order.h"

#define CACHE_MAGIC UINT64_C(0x3248545254464c44) /* "DLFTRTH2" */

enum { HEADER_WORDS = 5, CODE_WORDS = 4, CODE_BYTES = CODE_WORDS * 8, KEY_BYTES = 32 };

/* Draws a key, unless another process has made the file first. link() makes the file atomically. */
static void make_key(const char *path)
{
    unsigned char key[KEY_BYTES];
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return;
    const int fd = mkstemp(temporary);
    if (fd < 0)
        return;
    const bool drawn = getrandom(key, sizeof key, 0) == (ssize_t)sizeof key &&
                       write(fd, key, sizeof key) == (ssize_t)sizeof key;
    if (close(fd) == 0 && drawn)
        (void)!link(temporary, path);
    (void)unlink(temporary);
}

/* Returns false, with the reason in `note`, if the key cannot be read or if other users can access
   it. The cache is then not used. */
static bool read_key(const char *dir, unsigned char key[KEY_BYTES], struct error *note)
{
    char path[PATH_MAX];
    struct stat st;

    if (snprintf(path, sizeof path, "%s/key", dir) >= (int)sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        make_key(path);
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    }
    if (fd < 0) {
        fail_errno(note, ERR_IO, "%s: cannot be read, so no stored truth is used", path);
        return false;
    }
    const bool ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
                      (st.st_mode & (S_IRWXG | S_IRWXO)) == 0;
    const bool whole = ours && read(fd, key, KEY_BYTES) == KEY_BYTES;
    (void)close(fd);
    if (!ours)
        fail(note, ERR_IO,
             "%s: others can read or change it, so no stored truth is used; remove it and the "
             "truths beside it",
             path);
    else if (!whole)
        fail(note, ERR_IO, "%s: the file is truncated, so no stored truth is used; remove it",
             path);
    return whole;
}

static bool code_of(const unsigned char key[KEY_BYTES], const uint64_t *words, size_t n,
                    unsigned char code[CODE_BYTES])
{
    return HMAC(EVP_sha256(), key, KEY_BYTES, (const unsigned char *)words, n * sizeof *words, code,
                NULL) != NULL;
}

static bool cache_path(const char *dir, XXH128_hash_t key, char *path, size_t bytes)
{
    const int n =
        snprintf(path, bytes, "%s/%016" PRIx64 "%016" PRIx64 ".truth", dir, key.high64, key.low64);

    return n > 0 && (size_t)n < bytes;
}

/* The reason why the words are not a valid file of this key; NULL if they are. */
static const char *fault_of(const uint64_t *words, size_t n, XXH128_hash_t key,
                            const unsigned char secret[KEY_BYTES], size_t n_queries, size_t n_live)
{
    const size_t fixed = HEADER_WORDS + n_queries + 1 + CODE_WORDS;
    unsigned char code[CODE_BYTES];

    if (n < fixed)
        return "it is too short";
    if (!code_of(secret, words, n - CODE_WORDS, code) ||
        CRYPTO_memcmp(code, words + n - CODE_WORDS, CODE_BYTES) != 0)
        return "its code is wrong";
    if (words[0] != CACHE_MAGIC || words[1] != key.low64 || words[2] != key.high64)
        return "it is of another truth";
    if (words[3] != n_queries || (n - fixed) / 2 != words[4] || (n - fixed) % 2 != 0)
        return "its shape is wrong";
    const uint64_t *starts = words + HEADER_WORDS, *entries = starts + n_queries + 1;
    if (starts[0] != 0 || starts[n_queries] != words[4])
        return "its offsets are wrong";
    for (size_t q = 0; q < n_queries; q++)
        if (starts[q] > starts[q + 1])
            return "its offsets are wrong";
    for (size_t i = 0; i < words[4]; i++)
        if (entries[2 * i] >= n_live)
            return "it names rows that are not there";
    return NULL;
}

static bool take_entries(const uint64_t *words, const uint64_t *ids, struct neighbours *known,
                         size_t n_queries, size_t most)
{
    const uint64_t *starts = words + HEADER_WORDS, *entries = starts + n_queries + 1;

    for (size_t q = 0; q < n_queries; q++) {
        const size_t n = (size_t)(starts[q + 1] - starts[q]);

        if (n > most ||
            !mem_grow(NULL, &known[q].items, &known[q].capacity, n + 1, sizeof *known[q].items))
            return false;
        for (size_t i = 0; i < n; i++) {
            const uint64_t *entry = entries + 2 * (starts[q] + i);

            known[q].items[i].id = ids[entry[0]];
            memcpy(&known[q].items[i].distance, &entry[1], sizeof entry[1]);
        }
        known[q].n = n;
    }
    return true;
}

bool truth_load(const char *dir, XXH128_hash_t key, const uint64_t *ids, size_t n,
                struct neighbours *known, size_t n_queries, size_t most, struct error *note)
{
    unsigned char secret[KEY_BYTES];
    char path[PATH_MAX];
    struct error why = { 0 };
    size_t bytes;

    if (!cache_path(dir, key, path, sizeof path))
        return false;
    char *text;
    const int rc = path_read_file(dir, path + strlen(dir) + 1, &text, &bytes, &why);
    if (rc != OK) {
        if (rc != ERR_NOT_FOUND)
            fail(note, rc, "%s, so it is computed again", why.text);
        return false;
    }
    if (!read_key(dir, secret, note)) {
        free(text);
        return false;
    }
    const uint64_t *words = (const uint64_t *)(const void *)text;
    const char *fault = fault_of(words, bytes / sizeof *words, key, secret, n_queries, n);
    bool taken = !fault && take_entries(words, ids, known, n_queries, most);
    if (fault)
        fail(note, ERR_CORRUPT, "%s: the stored truth is damaged (%s), so it is computed again",
             path, fault);
    free(text);
    return taken;
}

static size_t first_of(size_t n, size_t most)
{
    return n < most ? n : most;
}

void truth_store(const char *dir, XXH128_hash_t key, const uint64_t *ids, size_t n,
                 const struct neighbours *known, size_t n_queries, size_t most, struct error *note)
{
    unsigned char secret[KEY_BYTES], code[CODE_BYTES];
    char path[PATH_MAX];
    size_t entries = 0, at = HEADER_WORDS;

    if (!read_key(dir, secret, note))
        return;
    for (size_t q = 0; q < n_queries; q++)
        entries += first_of(known[q].n, most);
    const size_t n_words = HEADER_WORDS + n_queries + 1 + 2 * entries + CODE_WORDS;
    uint64_t *words = mem_array(NULL, n_words, sizeof *words);
    if (!words || !cache_path(dir, key, path, sizeof path)) {
        mem_free(NULL, words);
        return;
    }
    memcpy(words, (const uint64_t[]){ CACHE_MAGIC, key.low64, key.high64, n_queries, entries },
           HEADER_WORDS * sizeof *words);
    for (size_t q = 0, start = 0; q <= n_queries; q++) {
        words[at++] = start;
        start += q < n_queries ? first_of(known[q].n, most) : 0;
    }
    for (size_t q = 0; q < n_queries; q++)
        for (size_t i = 0; i < first_of(known[q].n, most); i++) {
            const uint64_t *id =
                bsearch(&known[q].items[i].id, ids, n, sizeof *ids, order_u64); /* it is there */
            words[at++] = (uint64_t)(id - ids);
            memcpy(&words[at++], &known[q].items[i].distance, sizeof *words);
        }
    if (code_of(secret, words, at, code)) {
        memcpy(&words[at], code, sizeof code);
        (void)atomic_file_write(path, words, n_words * sizeof *words, note);
    }
    mem_free(NULL, words);
}

/* ---- keys */

/* Consecutive rows are one entry, so that the hash does not depend on views and segments. */
struct row_hash {
    XXH3_state_t *state;
    uint64_t source, first, n;
};

static void flush_run(struct row_hash *h)
{
    const uint64_t entry[] = { h->source, h->first, h->n };

    if (h->n)
        XXH3_128bits_update(h->state, entry, sizeof entry);
    h->n = 0;
}

static void hash_row(struct row_hash *h, uint64_t source, uint64_t row)
{
    if (h->n && h->source == source && h->first + h->n == row) {
        h->n++;
        return;
    }
    flush_run(h);
    h->source = source;
    h->first = row;
    h->n = 1;
}

static void hash_view(XXH3_state_t *state, const struct view *v)
{
    struct row_hash h = { .state = state };

    for (size_t i = 0; i < v->n; i++) {
        size_t row;
        const struct source *source = view_row(v, i, &row);
        hash_row(&h, source->hash, row);
    }
    flush_run(&h);
}

XXH128_hash_t truth_query_key(const struct op_list *list, const struct op *op)
{
    XXH3_state_t *state = XXH3_createState();
    const uint64_t head[] = { 2,           (uint64_t)list->metric,  (uint64_t)list->element,
                              list->dim,   op->kind == OP_RANGE,    op->k,
                              op->rows->n, op->filter_bits != NULL, op->filter_ids };
    const double radius = op->kind == OP_RANGE ? op->radius : 0;
    XXH128_hash_t key = { 0, 0 };

    if (!state)
        return key;
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, head, sizeof head);
    XXH3_128bits_update(state, &radius, sizeof radius);
    if (op->filter_bits)
        XXH3_128bits_update(state, op->filter_bits, (op->filter_ids + 63) / 64 * sizeof(uint64_t));
    /* Neighbours in a snapshot are valid for that snapshot only. */
    if (op->as_of)
        XXH3_128bits_update(state, &op->as_of, sizeof op->as_of);
    hash_view(state, op->rows);
    key = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return key;
}

/* Hashes the queries' key and the searched rows in rank order, so that a part has a key of its own. The
   rows already reflect the filter. Its bits are left out, because they depend on ids, which the cache does
   not store. */
XXH128_hash_t truth_key(const struct live_state *asked, const struct op *op, const uint64_t *ids,
                        size_t n)
{
    const struct op_list *list = asked->list;
    struct op unfiltered = *op;
    XXH3_state_t *state = XXH3_createState();
    XXH128_hash_t key = { 0, 0 };

    if (!state)
        return key;
    unfiltered.filter_bits = NULL;
    unfiltered.filter_ids = 0;
    unfiltered.as_of = 0;
    key = truth_query_key(list, &unfiltered);
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, &key, sizeof key);
    struct row_hash h = { .state = state };
    for (size_t i = 0; i < n; i++) {
        const struct live_row at = asked->rows[ids[i]];
        hash_row(&h, list->datasets[at.dataset].source->hash, at.row);
    }
    flush_run(&h);
    key = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return key;
}
