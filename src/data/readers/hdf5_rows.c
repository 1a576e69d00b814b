/* hdf5_rows.c - some rows of an HDF5 dataset, by hyperslabs.
 *
 * In a child process, as in hdf5.c: the file may have changed since rank 0 has read it. The rows come
 * back in memory that both processes share. */
#define _GNU_SOURCE
#include "src/data/readers/spans.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "src/data/readers/child.h"

#ifndef HAVE_HDF5

int reader_hdf5_rows(int fd, const struct row_request *r, void *out, uint64_t *read_bytes,
                     struct error *err)
{
    (void)fd, (void)out, (void)read_bytes;
    return fail(err, ERR_UNSUPPORTED, "%s: HDF5 is left out of this build", r->from->path);
}

#else

#include "src/data/readers/bytes.h"
#include "src/data/readers/hdf5_dataset.h"

static const size_t MEMORY_BYTES = (size_t)4 << 30;

/* Report of the child. */
struct rows_found {
    int code;
    char text[sizeof((struct error *)0)->text];
    uint64_t read_bytes;
};

struct rows_job {
    int fd;
    const struct row_request *request;
    void *rows; /* shared with the parent */
    /* used by the child */
    hid_t dataset, memory_type;
    uint64_t n; /* rows of the dataset */
    struct rows_found found;
};

/* 1. The child */

static int read_span(void *of, uint64_t first, uint64_t last, void *span, struct error *err)
{
    struct rows_job *job = of;
    const char *path = job->request->from->path;
    const size_t n = (size_t)(last - first + 1);
    if (last >= job->n)
        return fail(err, ERR_CORRUPT, "%s: row %llu of %llu", path, (unsigned long long)last + 1,
                    (unsigned long long)job->n);
    job->found.read_bytes += n * job->request->row_bytes;
    return hdf5_read_rows(job->dataset, job->memory_type, (size_t)first, n, span, path, err);
}

static int open_dataset(struct rows_job *job, struct error *err)
{
    const struct row_origin *from = job->request->from;
    char text[HDF5_REASON_BYTES];
    enum element element;
    hsize_t extent[2];
    const hid_t file = hdf5_open_file(job->fd);
    if (file < 0)
        return fail(err, ERR_CORRUPT, "%s: HDF5 cannot open it: %s", from->path, hdf5_reason(text));
    const int rc = hdf5_check_links(file, from->dataset, from->path, err);
    if (rc)
        return rc;
    job->dataset = H5Dopen2(file, from->dataset, H5P_DEFAULT);
    if (job->dataset < 0)
        return fail(err, ERR_CORRUPT, "%s: dataset \"%s\" cannot be opened", from->path,
                    from->dataset);
    const int rank = hdf5_shape_of(job->dataset, extent);
    if ((rank != 1 && rank != 2) || !hdf5_element_of(job->dataset, &element, &job->memory_type) ||
        H5Tget_size(job->memory_type) * extent[1] != job->request->row_bytes)
        return fail(err, ERR_CORRUPT, "%s: dataset \"%s\" has no rows of %zu bytes", from->path,
                    from->dataset, job->request->row_bytes);
    job->n = extent[0];
    return hdf5_check_storage(job->dataset, from->path, err);
}

static void read_and_tell(void *context, int out)
{
    struct rows_job *job = context;
    struct error err = { 0 };
    const struct row_spans spans = { read_span, job, job->request->row_bytes };
    job->found.code = open_dataset(job, &err);
    if (!job->found.code)
        job->found.code = reader_spans(&spans, job->request, job->rows, &err);
    memcpy(job->found.text, err.text, sizeof job->found.text);
    (void)bytes_put(out, &job->found, sizeof job->found);
}

/* 2. The parent */

static int run_child(struct rows_job *job, size_t bytes, struct error *err)
{
    const char *path = job->request->from->path;
    struct child_process child = { .work = read_and_tell,
                                   .context = job,
                                   .cpu_s = 60 + 1e-6 * (double)bytes,
                                   .memory_bytes = MEMORY_BYTES };
    struct error why = { 0 };
    int rc = child_run(&child, &why);
    if (rc)
        fail(err, rc, "%s: the process that read it %s", path, why.text);
    else if (child.output_bytes != sizeof job->found)
        rc = fail(err, ERR_CORRUPT, "%s: the process that read it ended early", path);
    else
        memcpy(&job->found, child.output, sizeof job->found);
    free(child.output);
    job->found.text[sizeof job->found.text - 1] = '\0';
    return rc || !job->found.code ? rc : fail(err, job->found.code, "%s", job->found.text);
}

int reader_hdf5_rows(int fd, const struct row_request *r, void *out, uint64_t *read_bytes,
                     struct error *err)
{
    struct rows_job job = { .fd = fd, .request = r };
    const size_t bytes = r->n * r->row_bytes;
    if (bytes == 0)
        return OK;
    job.rows = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (job.rows == MAP_FAILED)
        return fail_errno(err, ERR_NO_MEMORY, "%s: out of memory for %zu rows", r->from->path,
                          r->n);
    const int rc = run_child(&job, bytes, err);
    if (!rc) {
        memcpy(out, job.rows, bytes);
        *read_bytes += job.found.read_bytes;
    }
    (void)munmap(job.rows, bytes);
    return rc;
}

#endif
