/* wal_files.c - the log's files: names, heads, list. */
#include "algorithms/common/durable/wal_files_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/path_print.h"

#define PREFIX "journal."

_Static_assert(sizeof(struct wal_head) == 40, "the head's place in the file is fixed");
_Static_assert(sizeof(struct wal_batch_head) == 40, "a batch's place in the file is fixed");

int wal_path(char path[PATH_MAX], const char *dir, uint64_t number, struct error *err)
{
    return path_print(path, err, "%s/" PREFIX "%06" PRIu64, dir, number);
}

struct wal_head wal_head_of(uint64_t number, uint64_t first_lsn, uint64_t durable_lsn)
{
    struct wal_head h = { WAL_MAGIC, number, first_lsn, durable_lsn, 0, 0 };

    h.sum = (uint32_t)XXH3_64bits(&h, offsetof(struct wal_head, sum));
    return h;
}

void wal_files_free(struct wal_files *files)
{
    mem_free(files->mem, files->list);
    *files = (struct wal_files){ .mem = files->mem };
}

/* An incomplete head was never written, or a power cut took its page: wal_replay() decides by the
   rest of the file. */
static int read_head(struct wal_file *file, const char *path, struct error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    struct wal_head h = { 0 };

    if (fd < 0)
        return fail_errno(err, ERR_IO, "cannot open %s", path);
    const bool known = fstat(fd, &st) == 0;
    const size_t got = known ? file_read_at(fd, &h, sizeof h, 0, NULL) : 0;
    const int rc = got < sizeof h && errno ? fail_errno(err, ERR_IO, "cannot read %s", path) : OK;
    (void)close(fd);
    if (rc)
        return rc;
    if (memcmp(h.magic, "DLJRNL1", sizeof h.magic) == 0 ||
        memcmp(h.magic, "DLJRNL2", sizeof h.magic) == 0)
        return fail(err, ERR_VERSION,
                    "%s was written by an older version of this program (%s, expected " WAL_MAGIC
                    "); open the index with that version and save it",
                    path, h.magic);
    const struct wal_head want = wal_head_of(file->number, h.first_lsn, h.durable_lsn);
    file->bytes = (uint64_t)st.st_size;
    file->first_lsn = h.first_lsn;
    file->durable_lsn = h.durable_lsn;
    file->sum = h.sum;
    file->headless = got < sizeof h || memcmp(&h, &want, sizeof h) != 0 || h.first_lsn == 0;
    return OK;
}

int wal_files_list(struct wal_files *files, const struct index_env *env, const char *dir)
{
    DIR *d = opendir(dir);
    int rc = OK;

    *files = (struct wal_files){ .mem = env->mem };
    if (!d)
        return fail_errno(env->error, ERR_IO, "cannot read the folder %s", dir);
    for (const struct dirent *e = readdir(d); !rc && e; e = readdir(d)) {
        struct wal_file file = { .number = file_number(e->d_name, PREFIX) };
        char path[PATH_MAX];
        if (file.number == 0)
            continue;
        rc = wal_path(path, dir, file.number, env->error);
        if (!rc)
            rc = read_head(&file, path, env->error);
        if (!rc && !mem_grow(files->mem, &files->list, &files->capacity, files->n + 1,
                             sizeof *files->list))
            rc = fail(env->error, ERR_NO_MEMORY, "log: out of memory for a list of files");
        if (!rc)
            files->list[files->n++] = file;
    }
    (void)closedir(d);
    if (!rc && files->n > 1)
        qsort(files->list, files->n, sizeof *files->list, order_u64);
    if (rc)
        wal_files_free(files);
    return rc;
}

int wal_map(const struct index_env *env, const char *dir, const struct wal_file *file,
            const unsigned char **bytes)
{
    char path[PATH_MAX];
    void *at = NULL;
    int rc = wal_path(path, dir, file->number, env->error);

    *bytes = NULL;
    if (rc || file->bytes == 0)
        return rc;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(env->error, ERR_IO, "cannot open %s", path);
    at = mmap(NULL, (size_t)file->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        rc = fail_errno(env->error, ERR_IO, "cannot map %s", path);
    else
        *bytes = at;
    (void)close(fd);
    return rc;
}

void wal_unmap(const unsigned char *bytes, uint64_t n)
{
    if (bytes)
        (void)munmap((void *)(uintptr_t)bytes, (size_t)n);
}

bool wal_batch_at(const unsigned char *p, uint64_t n, struct wal_batch_head *batch)
{
    if (n < WAL_BATCH_HEAD)
        return false;
    memcpy(batch, p, WAL_BATCH_HEAD);
    return batch->bytes <= n - WAL_BATCH_HEAD && batch->records > 0 &&
           batch->records <= batch->bytes / WAL_RECORD;
}
