/* oracle_cache.c - see oracle_cache.h. Nothing read is believed before the checksum and the
   shape are. */
#include "oracle_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "whole_file.h"

#define CACHE_MAGIC UINT64_C(0x3148545254464c44) /* "DLFTRTH1" */

enum { HEADER_WORDS = 5 };

static bool cache_path(const char *dir, XXH128_hash_t key, char *path, size_t bytes)
{
    const int n =
        snprintf(path, bytes, "%s/%016" PRIx64 "%016" PRIx64 ".truth", dir, key.high64, key.low64);

    return n > 0 && (size_t)n < bytes;
}

/* The whole file as words, or NULL with errno; *n of them. */
static uint64_t *read_words(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    uint64_t *words = NULL;
    long size;

    if (!file)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 &&
        fseek(file, 0, SEEK_SET) == 0) {
        *n = (size_t)size / sizeof *words;
        words = mem_array(NULL, *n + 1, sizeof *words);
        if (words && fread(words, sizeof *words, *n, file) != *n) {
            mem_free(NULL, words);
            words = NULL;
            errno = EIO;
        }
    }
    (void)fclose(file);
    return words;
}

/* Why the words cannot be this truth, or NULL. */
static const char *fault_of(const uint64_t *words, size_t n, XXH128_hash_t key, size_t n_queries,
                            size_t n_live)
{
    const size_t fixed = HEADER_WORDS + n_queries + 1 + 1;

    if (n < fixed)
        return "it is too short";
    if (words[n - 1] != XXH3_64bits(words, (n - 1) * sizeof *words))
        return "its checksum is wrong";
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
    char path[PATH_MAX];
    size_t n_words = 0;

    if (!cache_path(dir, key, path, sizeof path))
        return false;
    uint64_t *words = read_words(path, &n_words);
    if (!words) {
        if (errno != ENOENT)
            fail_errno(note, ERR_IO, "%s: cannot be read, so it is computed again", path);
        return false;
    }
    const char *fault = fault_of(words, n_words, key, n_queries, n);
    bool taken = !fault && take_entries(words, ids, known, n_queries, most);
    if (fault)
        fail(note, ERR_CORRUPT, "%s: the stored truth is damaged (%s), so it is computed again",
             path, fault);
    mem_free(NULL, words);
    return taken;
}

static size_t rank_of(const uint64_t *ids, size_t n, uint64_t id)
{
    size_t low = 0, high = n;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t first_of(size_t n, size_t most)
{
    return n < most ? n : most;
}

void truth_store(const char *dir, XXH128_hash_t key, const uint64_t *ids, size_t n,
                 const struct neighbours *known, size_t n_queries, size_t most, struct error *note)
{
    char path[PATH_MAX];
    size_t entries = 0, at = HEADER_WORDS;

    for (size_t q = 0; q < n_queries; q++)
        entries += first_of(known[q].n, most);
    const size_t n_words = HEADER_WORDS + n_queries + 1 + 2 * entries + 1;
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
            words[at++] = rank_of(ids, n, known[q].items[i].id);
            memcpy(&words[at++], &known[q].items[i].distance, sizeof *words);
        }
    words[at] = XXH3_64bits(words, at * sizeof *words);
    (void)write_whole_file(path, (const char *)words, n_words * sizeof *words, note);
    mem_free(NULL, words);
}
