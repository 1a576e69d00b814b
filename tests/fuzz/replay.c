/* replay.c - runs a fuzz target without a fuzzer: its corpus, then seeded mutations of it.
 *
 *     run fuzz/fuzz_NAME [FILE|FOLDER]...
 *
 * Each file is passed unchanged, then with DRIFTLINE_FUZZ_ROUNDS (64) mutations. The current
 * input is in TMPDIR/input while the target runs, so a crash leaves it there, and
 * `run fuzz/fuzz_NAME INPUT` repeats it.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/core/rng.h"
#include "tests/run/run.h"

struct replay {
    fuzz_target *target;
    char input[PATH_MAX]; /* path of the current input */
    uint64_t seed;
    size_t rounds, files, runs;
    bool failed;
};

static void hand_over(struct replay *r, const uint8_t *data, size_t bytes)
{
    FILE *f = fopen(r->input, "wb");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f) != 0) {
        fprintf(stderr, "%s: %s\n", r->input, strerror(errno));
        exit(1);
    }
    /* A copy of exactly its size, so that a sanitizer sees a read past the end. */
    uint8_t *exact = malloc(bytes ? bytes : 1);
    if (!exact)
        exit(1);
    if (bytes)
        memcpy(exact, data, bytes);
    (void)r->target(exact, bytes);
    free(exact);
    r->runs++;
}

/* Damages data in place with frequent faults first: truncation, flipped bits,
 * sizes replaced by extremes. */
static size_t damage(struct rng *rng, uint8_t *data, size_t bytes)
{
    static const uint64_t extremes[] = { 0,          1,         UINT32_MAX, INT32_MAX,
                                         UINT64_MAX, INT64_MAX, 1u << 20 };
    for (uint64_t times = 1 + rng_below(rng, 4); bytes && times; times--) {
        const size_t at = (size_t)rng_below(rng, bytes);
        const size_t room = bytes - at < 8 ? bytes - at : 8;
        const uint64_t extreme = extremes[rng_below(rng, sizeof extremes / sizeof *extremes)];
        switch (rng_below(rng, 5)) {
            case 0: data[at] = (uint8_t)(data[at] ^ (1u << rng_below(rng, 8))); break;
            case 1: data[at] = (uint8_t)rng_u64(rng); break;
            case 2: bytes = at; break;
            case 3: memcpy(data + at, &extreme, room < 4 ? room : 4); break;
            default: memcpy(data + at, &extreme, room); break;
        }
    }
    return bytes;
}

static uint8_t *read_whole(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    uint8_t *data = NULL;
    if (f && fstat(fileno(f), &st) == 0 && (data = malloc((size_t)st.st_size + 1)) != NULL)
        *bytes = fread(data, 1, (size_t)st.st_size, f);
    if (f)
        fclose(f);
    return data;
}

static void replay_file(struct replay *r, const char *path)
{
    size_t bytes = 0;
    uint8_t *whole = read_whole(path, &bytes);
    uint8_t *copy = malloc(bytes + 1);
    if (!whole || !copy) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        r->failed = true;
    } else {
        hand_over(r, whole, bytes);
        struct rng rng = rng_at(r->seed, r->files);
        for (size_t i = 0; i < r->rounds; i++) {
            memcpy(copy, whole, bytes);
            hand_over(r, copy, damage(&rng, copy, bytes));
        }
    }
    r->files++;
    free(copy);
    free(whole);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_path(struct replay *r, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        replay_file(r, path);
        return;
    }
    struct dirent **entries;
    const int n = scandir(path, &entries, visible, alphasort);
    for (int i = 0; i < n; i++) {
        char inner[PATH_MAX];
        (void)snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        replay_path(r, inner);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

int fuzz_replay(fuzz_target *target, fuzz_begin *begin, int n, char **paths)
{
    struct replay r = { .target = target,
                        .seed = number_from("DRIFTLINE_SEED", 1),
                        .rounds = (size_t)number_from("DRIFTLINE_FUZZ_ROUNDS", 64) };
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(r.input, sizeof r.input, "%s/input", tmp && *tmp ? tmp : "/tmp");
    if (begin)
        (void)begin(&n, &paths);

    hand_over(&r, (const uint8_t *)"", 0);
    for (int i = 0; i < n; i++)
        replay_path(&r, paths[i]);
    (void)remove(r.input);
    if (!r.files)
        fprintf(stderr, "no corpus: only the empty input was run\n");
    printf("%zu files, %zu inputs, seed %" PRIu64 "\n", r.files, r.runs, r.seed);
    return r.failed;
}
