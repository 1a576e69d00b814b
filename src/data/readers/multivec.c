/* multivec.c - reads the multi-vector format of big-ann-benchmarks' caselaw: the vectors of the documents that have
 * exactly one.
 *
 * u32 documents, u32 columns, u32 vectors in all; u32 number of vectors of each document; then the f32 vectors, little-endian
 * (dataset_preparation/multi_vector_utils.py).
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/data/readers/formats.h"

enum { HEADER_BYTES = 12 };
static const char single[] = "single"; /* the name of the only data set */

static size_t count_of(const struct bytes *b, size_t document)
{
    return little_u32(b->at + HEADER_BYTES + 4 * document);
}

/* Fills n with the documents of one vector. *vectors: the offset of the first vector. */
static int check_counts(const struct bytes *b, struct row_layout *l, size_t *documents,
                        size_t *vectors, struct error *err)
{
    if (b->size < HEADER_BYTES)
        return fail(err, ERR_CORRUPT, "%s: truncated: the header needs %d bytes, the file has %zu",
                    b->name, HEADER_BYTES, b->size);
    struct row_layout all = { .stored = INDEX_F32, .n = little_u32(b->at + 8) };
    size_t sum = 0;
    *documents = little_u32(b->at);
    l->dim = all.dim = little_u32(b->at + 4);
    *vectors = all.offset = HEADER_BYTES + 4 * *documents;
    const int rc = layout_check_size(b, &all, data_row_bytes(INDEX_F32, l->dim), err);
    if (rc)
        return rc;
    for (size_t i = 0; i < *documents; i++) {
        sum += count_of(b, i);
        l->n += count_of(b, i) == 1;
    }
    if (sum != all.n)
        return fail(err, ERR_CORRUPT, "%s: its %zu documents have %zu vectors, the header says %zu",
                    b->name, *documents, sum, all.n);
    return l->n ? OK
                : fail(err, ERR_CORRUPT, "%s: none of its %zu documents has exactly one vector",
                       b->name, *documents);
}

/* Writes the vectors of documents of one, a run of such documents at a time. */
static int put_single(const struct bytes *b, size_t documents, const uint8_t *at, size_t row_bytes,
                      int fd, struct error *err)
{
    for (size_t i = 0; i < documents;) {
        size_t run = 0;
        while (i + run < documents && count_of(b, i + run) == 1)
            run++;
        if (run && bytes_put(fd, at, run * row_bytes))
            return fail_errno(err, ERR_IO, "%s: cannot store its rows", b->name);
        at += run * row_bytes;
        i += run;
        for (; i < documents && count_of(b, i) != 1; i++)
            at += count_of(b, i) * row_bytes;
    }
    return OK;
}

int reader_multivec(struct bytes *b, const struct file_options *options, struct row_layout *l,
                    struct inner_names *names, struct error *err)
{
    size_t documents = 0, vectors = 0;
    if (options->dataset && strcmp(options->dataset, single) != 0)
        return fail(err, ERR_NOT_FOUND, "%s: no dataset \"%s\"; the file has %s", b->name,
                    options->dataset, single);
    int rc = check_counts(b, l, &documents, &vectors, err);
    if (rc)
        return rc;
    l->stride_bytes = data_row_bytes(INDEX_F32, l->dim);
    if (l->n > options->limit_bytes / l->stride_bytes)
        return fail(err, ERR_CORRUPT,
                    "%s: %zu rows of %zu columns are more than the %zu bytes allowed", b->name,
                    l->n, l->dim, options->limit_bytes);
    const int fd = bytes_scratch(options->scratch_dir);
    if (fd < 0)
        return fail_errno(err, ERR_IO, "%s: cannot make a temporary file", b->name);
    rc = put_single(b, documents, b->at + vectors, l->stride_bytes, fd, err);
    rc = bytes_replace(b, fd, rc, err);
    snprintf(names->dataset, sizeof names->dataset, "%s", single);
    snprintf(l->note, sizeof l->note,
             "%zu of %zu documents have one vector, the others are left out", l->n, documents);
    return rc;
}
