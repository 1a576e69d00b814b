/* cluster_block.c - makes a cluster's file in memory, and writes it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/channi/files/cluster_file.h"
#include "algorithms/common/io/files.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* What a section has, and its bytes. NULL: the file has no such section. */
struct content {
    const void *from;
    size_t bytes;
};

static void list_contents(const struct index_env *env, const struct channi_cluster_contents *c,
                          struct content of[SECTIONS])
{
    const size_t n = c->n;

    of[SECTION_IDS] = (struct content){ c->ids, n * sizeof *c->ids };
    of[SECTION_ATTRIBUTES] =
        (struct content){ c->attributes, n * env->n_attributes * sizeof *c->attributes };
    of[SECTION_BORN] = (struct content){ c->born, n * sizeof *c->born };
    of[SECTION_DEAD] = (struct content){ c->born ? c->dead : NULL, n * sizeof *c->dead };
    of[SECTION_GRAPH] = (struct content){ c->graph, c->graph ? graph_image_bytes(c->graph) : 0 };
    of[SECTION_CODES] = (struct content){ c->codes, c->codes_bytes };
    of[SECTION_CENTRE] = (struct content){ c->centre, c->centre_bytes };
    of[SECTION_SUMS] = (struct content){ c->cold_rows ? c->rows : NULL, n * sizeof(uint32_t) };
    of[SECTION_ROWS] = (struct content){ c->rows, n * index_row_bytes(env->element, env->dim) };
}

static void plan(struct channi_cluster_head *h, const struct content of[SECTIONS])
{
    uint64_t at = CLUSTER_HEAD;

    h->has = UINT32_C(1) << SECTION_IDS | UINT32_C(1) << SECTION_ROWS;
    for (unsigned i = 0; i < SECTIONS; i++) {
        if (i == SECTION_ROWS && h->cold_rows)
            h->hot_bytes = at = channi_cluster_round(at, CLUSTER_PAGE);
        h->has |= (uint32_t)(of[i].from != NULL) << i;
        h->sections[i].at = at;
        h->sections[i].bytes = of[i].from ? of[i].bytes : 0;
        at = channi_cluster_round(at + h->sections[i].bytes, CLUSTER_ALIGN);
    }
    h->file_bytes = channi_cluster_round(at, CLUSTER_PAGE);
    if (!h->cold_rows)
        h->hot_bytes = h->file_bytes;
}

/* false: out of memory. */
static bool sum_up_columns(const struct index_env *env, struct channi_cluster_head *h,
                           const struct channi_cluster_contents *c)
{
    int64_t *scratch = c->attributes ? mem_array(env->mem, c->n, sizeof *scratch) : NULL;

    h->n_columns = (uint32_t)env->n_attributes;
    for (size_t f = 0; scratch && f < h->n_columns; f++)
        channi_summary_make(&h->columns[f], c->attributes + f * c->n, c->n, scratch);
    mem_free(env->mem, scratch);
    return scratch || !c->attributes;
}

/* Copies the contents to their places in a block of zeros. */
static void fill(const struct index_env *env, const struct channi_cluster_head *h,
                 const struct content of[SECTIONS], unsigned char *block)
{
    const size_t row_bytes = index_row_bytes(env->element, env->dim);

    for (unsigned i = 0; i < SECTIONS; i++) {
        unsigned char *to = block + h->sections[i].at;

        if (h->sections[i].bytes == 0)
            continue;
        if (i == SECTION_GRAPH) {
            graph_image_write(of[i].from, to);
        } else if (i == SECTION_SUMS) {
            const unsigned char *row = of[i].from;
            uint32_t *sums = (uint32_t *)(void *)to;

            for (size_t r = 0; r < h->n; r++, row += row_bytes)
                sums[r] = channi_cluster_row_sum(row, row_bytes);
        } else {
            memcpy(to, of[i].from, h->sections[i].bytes);
        }
    }
}

int channi_cluster_block_make(const struct index_env *env, const struct channi_cluster_contents *c,
                              struct channi_cluster_block *out)
{
    struct content of[SECTIONS];
    struct channi_cluster_head h = { .magic = CLUSTER_MAGIC,
                                     .format = CLUSTER_FORMAT,
                                     .cold_rows = c->cold_rows,
                                     .phash = c->phash,
                                     .version = c->version,
                                     .dim = env->dim,
                                     .element = (uint32_t)env->element,
                                     .metric = (uint32_t)env->metric,
                                     .n = c->n,
                                     .root = c->root,
                                     .code_error = c->code_error };

    list_contents(env, c, of);
    plan(&h, of);
    *out = (struct channi_cluster_block){ .hot_bytes = h.hot_bytes, .file_bytes = h.file_bytes };
    if (sum_up_columns(env, &h, c))
        out->bytes = mem_zalloc(env->mem, h.file_bytes);
    if (!out->bytes)
        return CHANNI_NO_MEMORY(env, " for the file of a cluster of %" PRIu32 " rows (%zu bytes)",
                                c->n, out->file_bytes);
    fill(env, &h, of, out->bytes);
    for (unsigned i = 0; i < SECTIONS; i++)
        h.sections[i].hash = channi_cluster_hash(
            out->bytes + h.sections[i].at, channi_cluster_section_end(&h, i) - h.sections[i].at);
    h.hash = channi_cluster_hash(&h, offsetof(struct channi_cluster_head, hash));
    memcpy(out->bytes, &h, sizeof h);
    return OK;
}

/* Returns the step that failed, for a message, with errno set; NULL: success. */
static const char *write_file(const char *path, const struct channi_cluster_block *block,
                              bool durable, const struct file_fault *fault, bool *created)
{
    const char *failed = NULL;
    int fd = -1, why = 0;

    if (!file_faulted(fault, "open"))
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    *created = fd >= 0;
    if (fd < 0)
        return "create";
    if (file_write(fd, block->bytes, block->file_bytes, fault) < block->file_bytes)
        failed = "write";
    else if (durable && !file_sync(fd, fault))
        failed = "sync";
    why = errno;
    const bool refused = file_faulted(fault, "close");
    if ((close(fd) != 0 || refused) && !failed) {
        failed = "close";
        why = errno;
    }
    errno = why;
    return failed;
}

int channi_cluster_block_write(const struct index_env *env, const struct channi_cluster_contents *c,
                               const struct channi_cluster_block *block, bool durable,
                               const struct file_fault *fault)
{
    char path[PATH_MAX];
    const char *failed;
    bool created;
    int rc = channi_cluster_file_path(env, c->phash, c->version, path);

    if (rc != OK)
        return rc;
    failed = write_file(path, block, durable, fault, &created);
    if (!failed)
        return OK;
    rc =
        errno == ENOSPC || errno == EDQUOT
            ? fail_errno(env->error, ERR_IO,
                         "channi: cannot %s the cluster file %s: the disk is full; free disk space "
                         "and try again",
                         failed, path)
            : fail_errno(env->error, ERR_IO, "channi: cannot %s the cluster file %s", failed, path);
    if (created)
        (void)unlink(path);
    return rc;
}
