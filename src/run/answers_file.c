/* answers_file.c - see answers_file.h. */
#include "src/run/answers_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/json.h"

enum { LINE_BYTES = 512 };

/* ---- 1. writing */

static void give_up(struct answers_writer *w)
{
    if (w->file)
        (void)fclose(w->file);
    (void)unlink(w->path);
    w->file = NULL;
    w->path = NULL;
}

size_t answers_file_words(const struct answers *a)
{
    return a->n + (a->starts ? a->n + 1 : 0) + a->n_ids;
}

void answers_file_place(struct answers *a, const uint64_t *words)
{
    a->positions = words;
    if (a->starts)
        a->starts = words + a->n;
    a->ids = words + answers_file_words(a) - a->n_ids;
}

static size_t bytes_of(const struct answers *a)
{
    return answers_file_words(a) * sizeof(uint64_t) + (a->distances ? a->n_ids * sizeof(float) : 0);
}

static bool write_entry(FILE *file, const struct answers *a, size_t k, size_t point, bool kept)
{
    json_t *head = json_pack(
        "{s:I, s:o, s:I, s:I, s:I, s:b, s:b, s:b, s:b}", "op", (json_int_t)a->op, "point",
        point == SIZE_MAX ? json_null() : json_integer((json_int_t)point), "k", (json_int_t)k,
        "queries", (json_int_t)a->n, "ids", (json_int_t)a->n_ids, "range", a->starts != NULL,
        "distances", a->distances != NULL, "clusters", a->pass == PASS_CLUSTERS, "kept", kept);
    bool good = json_dumpf(head, file, JSON_COMPACT) == 0 && fputc('\n', file) != EOF;

    json_decref(head);
    if (!kept)
        return good;
    good &= fwrite(a->positions, sizeof *a->positions, a->n, file) == a->n;
    if (a->starts)
        good &= fwrite(a->starts, sizeof *a->starts, a->n + 1, file) == a->n + 1;
    good &= fwrite(a->ids, sizeof *a->ids, a->n_ids, file) == a->n_ids;
    if (a->distances)
        good &= fwrite(a->distances, sizeof *a->distances, a->n_ids, file) == a->n_ids;
    return good;
}

void answers_file_write(struct answers_writer *w, const struct answers *a, size_t k, size_t point)
{
    const size_t bytes = bytes_of(a);
    const bool kept = bytes <= ANSWERS_BYTES_MAX - w->bytes;

    if (!w->path)
        return;
    if (!w->file)
        w->file = fopen(w->path, "wb");
    if (!w->file || !write_entry(w->file, a, k, point, kept))
        give_up(w);
    else if (kept)
        w->bytes += bytes;
}

void answers_file_close(struct answers_writer *w)
{
    FILE *file = w->file;

    w->file = NULL;
    if (file && fclose(file) != 0)
        give_up(w);
}

/* ---- 2. reading */

static bool take_head(const json_t *head, struct answers_entry *e)
{
    const long long n = field_integer(head, "queries", -1), ids = field_integer(head, "ids", -1);
    const long long op = field_integer(head, "op", -1), k = field_integer(head, "k", -1);
    static const uint64_t none;
    static const float no_distance;

    if (n < 0 || ids < 0 || op < 0 || k < 0 || n > UINT32_MAX || ids > INT64_MAX / 64)
        return false;
    const bool range = json_is_true(json_object_get(head, "range"));
    if (!range && ids != n * k)
        return false;
    const bool distances = json_is_true(json_object_get(head, "distances"));
    const bool clusters = json_is_true(json_object_get(head, "clusters"));
    e->answers = (struct answers){ .pass = clusters ? PASS_CLUSTERS : PASS_SINGLE,
                                   .op = (size_t)op,
                                   .n = (size_t)n,
                                   .n_ids = (size_t)ids,
                                   .starts = range ? &none : NULL,
                                   .distances = distances ? &no_distance : NULL };
    e->k = (size_t)k;
    e->point = (size_t)field_integer(head, "point", -1);
    e->kept = json_is_true(json_object_get(head, "kept"));
    return true;
}

/* Reads and checks the words of an entry. */
static bool take_words(FILE *file, struct answers_entry *e)
{
    struct answers *a = &e->answers;
    const size_t bytes = bytes_of(a);

    if (bytes > ANSWERS_BYTES_MAX)
        return false;
    e->words = malloc(bytes + 1);
    if (!e->words || fread(e->words, 1, bytes, file) != bytes)
        return false;
    answers_file_place(a, e->words);
    if (a->distances)
        a->distances = (const float *)(e->words + answers_file_words(a));
    for (size_t i = 0; a->starts && i < a->n; i++)
        if (a->starts[i] > a->starts[i + 1] || a->starts[i + 1] > a->n_ids)
            return false;
    return true;
}

int answers_file_read(FILE *file, const char *path, struct answers_entry *e, struct error *err)
{
    char line[LINE_BYTES];

    *e = (struct answers_entry){ 0 };
    if (!fgets(line, sizeof line, file))
        return 0;
    json_t *head = json_loads(line, 0, NULL);
    const bool whole = head && take_head(head, e) && (!e->kept || take_words(file, e));
    json_decref(head);
    if (whole)
        return 1;
    free(e->words);
    e->words = NULL;
    return fail(err, ERR_CORRUPT,
                "%s: the file is damaged or truncated; run the config again to write it anew "
                "(./harness run CONFIG)",
                path);
}
