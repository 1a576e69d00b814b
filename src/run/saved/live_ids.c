/* live_ids.c - the file "live_ids" of a state folder. Little-endian: the number of ids, the ids in
 * ascending order, and the XXH3 hash of all that. */
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "src/base/atomic_file.h"
#include "src/base/json.h"
#include "src/core/order.h"
#include "src/core/path_print.h"
#include "src/run/saved/saved.h"

int saved_ids_write(const char *state, const struct idmap *live, struct error *err)
{
    const size_t n = live->n;
    char path[PATH_MAX];
    uint64_t *words = mem_array(NULL, n + 2, sizeof *words);
    int rc = words ? path_print(path, err, "%s/live_ids", state)
                   : fail(err, ERR_NO_MEMORY, "out of memory for %zu ids", n);

    if (rc == OK) {
        words[0] = n;
        for (size_t i = 1, at = 0; idmap_next(live, &at, &words[i], NULL);)
            i++;
        qsort(words + 1, n, sizeof *words, order_u64);
        words[n + 1] = XXH3_64bits(words, (n + 1) * sizeof *words);
        rc = atomic_file_write(path, words, (n + 2) * sizeof *words, err);
    }
    mem_free(NULL, words);
    return rc;
}

static int take(FILE *file, const char *path, size_t n, struct idmap *live, struct error *err)
{
    uint64_t *words = mem_array(NULL, n + 3, sizeof *words);
    int rc = OK;

    if (!words || !idmap_reserve(live, n))
        rc = fail(err, ERR_NO_MEMORY, "%s: out of memory for %zu ids", path, n);
    else if (fread(words, 1, (n + 3) * sizeof *words, file) != (n + 2) * sizeof *words ||
             words[0] != n || words[n + 1] != XXH3_64bits(words, (n + 1) * sizeof *words))
        rc = fail(err, ERR_CORRUPT, "%s: the file is damaged; build the index again", path);
    for (size_t i = 1; rc == OK && i <= n; i++)
        (void)idmap_put(live, words[i], 1); /* cannot fail: reserved */
    mem_free(NULL, words);
    return rc;
}

int saved_take_ids(struct saved_index *s, struct error *err)
{
    const size_t n = (size_t)field_integer(s->about, "rows", 0);
    char path[PATH_MAX];
    int rc = path_print(path, err, "%s/live_ids", s->state);
    FILE *file = rc == OK ? fopen(path, "rb") : NULL;

    if (rc == OK && !file)
        rc = fail_errno(err, ERR_NOT_FOUND,
                        "%s: the ids of the rows cannot be read; an index that an earlier version "
                        "saved has none: build it again",
                        path);
    if (rc == OK)
        rc = take(file, path, n, &s->checked.live, err);
    if (file)
        (void)fclose(file);
    return rc;
}
