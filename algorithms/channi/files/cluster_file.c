/* cluster_file.c - names of cluster files, their heads, the images of their hot parts; makes a file
 * in memory, and writes it. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "algorithms/channi/files/cluster_file.h"
#include "algorithms/common/io/files.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/path_print.h"

#define XXH_INLINE_ALL

/* ---- names */

struct channi_file_name channi_cluster_file_name(uint64_t phash, uint64_t version)
{
    struct channi_file_name name;

    (void)snprintf(name.text, sizeof name.text, "%016" PRIx64 ".%016" PRIx64 ".clu", phash,
                   version);
    return name;
}

bool channi_cluster_file_parse(const char *name, uint64_t *phash, uint64_t *version)
{
    static const char digits[] = "0123456789abcdef";

    if (strlen(name) != 37 || strspn(name, digits) != 16 || name[16] != '.' ||
        strspn(name + 17, digits) != 16 || strcmp(name + 33, ".clu") != 0)
        return false;
    *phash = strtoull(name, NULL, 16);
    *version = strtoull(name + 17, NULL, 16);
    return true;
}

int channi_cluster_file_path(const struct index_env *env, uint64_t phash, uint64_t version,
                             char path[PATH_MAX])
{
    return path_print(path, env->error, "%s/%s", env->dir,
                      channi_cluster_file_name(phash, version).text);
}

struct channi_file_name channi_base_name(const struct channi_base *base)
{
    return channi_cluster_file_name(base->phash, base->version);
}

bool channi_cluster_file_remove(const struct index_env *env, const struct channi_base *base,
                                const struct file_fault *fault)
{
    struct error ignored = { 0 }, *before = error_divert(&ignored);
    char path[PATH_MAX];
    const bool named = channi_cluster_file_path(env, base->phash, base->version, path) == OK;

    (void)error_divert(before);
    return named && !file_faulted(fault, "unlink") && (unlink(path) == 0 || errno == ENOENT);
}

/* ---- heads */

uint64_t channi_cluster_hash(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}

uint32_t channi_cluster_row_sum(const void *row, size_t n)
{
    return (uint32_t)XXH3_64bits(row, n);
}

const char *channi_cluster_section_name(enum channi_cluster_section section)
{
    static const char *const names[SECTIONS] = { "ids",   "attributes", "born", "dead", "graph",
                                                 "codes", "centre",     "sums", "rows" };

    return names[section];
}

size_t channi_cluster_section_end(const struct channi_cluster_head *h,
                                  enum channi_cluster_section section)
{
    return section + 1 == SECTIONS ? h->file_bytes : h->sections[section + 1].at;
}

static bool has(const struct channi_cluster_head *h, enum channi_cluster_section section)
{
    return h->sections[section].bytes > 0;
}

/* Places the sections one after another, by their lengths; sets those of hot part and file. */
static void lay_out(struct channi_cluster_head *h)
{
    const bool cold = has(h, SECTION_SUMS);
    uint64_t at = CLUSTER_HEAD;

    for (unsigned i = 0; i < SECTIONS; i++) {
        if (i == SECTION_ROWS && cold)
            h->hot_bytes = at = channi_cluster_round(at, CLUSTER_PAGE);
        h->sections[i].at = at;
        at = channi_cluster_round(at + h->sections[i].bytes, CLUSTER_ALIGN);
    }
    h->file_bytes = channi_cluster_round(at, CLUSTER_PAGE);
    if (!cold)
        h->hot_bytes = h->file_bytes;
}

static int wrong(const struct index_env *env, const char *name, const char *part, const char *what)
{
    return fail(env->error, ERR_CORRUPT, "channi: %s/%s: %s: %s; the file is damaged", env->dir,
                name, part, what);
}

/* Bytes that a section must have; UINT64_MAX: any number. */
static uint64_t section_bytes(const struct index_env *env, const struct channi_cluster_head *h,
                              enum channi_cluster_section section)
{
    const uint64_t n = h->n;

    switch (section) {
        case SECTION_IDS:
        case SECTION_BORN:
        case SECTION_DEAD: return n * sizeof(uint64_t);
        case SECTION_ATTRIBUTES: return n * env->n_attributes * sizeof(int64_t);
        case SECTION_SUMS: return n * sizeof(uint32_t);
        case SECTION_ROWS: return n * index_row_bytes(env->element, env->dim);
        default: return UINT64_MAX;
    }
}

static int check_sections(const struct index_env *env, const struct channi_cluster_head *h,
                          const char *name)
{
    struct channi_cluster_head right = *h;

    for (unsigned i = 0; i < SECTIONS; i++) {
        const uint64_t bytes = section_bytes(env, h, i);

        if (h->sections[i].bytes > h->file_bytes ||
            (has(h, i) && bytes != UINT64_MAX && h->sections[i].bytes != bytes))
            return wrong(env, name, channi_cluster_section_name(i),
                         "it is not as long as the head says");
    }
    lay_out(&right);
    if (memcmp(&right, h, sizeof right) != 0)
        return wrong(env, name, "head", "its sections do not lie where they have to");
    if (!has(h, SECTION_IDS) || !has(h, SECTION_ROWS) ||
        has(h, SECTION_BORN) != has(h, SECTION_DEAD))
        return wrong(env, name, "head", "a section that has to be there is not");
    return OK;
}

/* Checks that a head is undamaged, belongs to a file of this name and this index, and has its
   sections at the right positions. ERR_CORRUPT, ERR_VERSION, ERR_DIMENSION. */
static int check_head(const struct index_env *env, const struct channi_cluster_head *h,
                      uint64_t phash, uint64_t version)
{
    const struct channi_file_name named = channi_cluster_file_name(phash, version);
    const char *name = named.text;

    if (h->magic != CLUSTER_MAGIC)
        return fail(env->error, ERR_CORRUPT,
                    "channi: %s/%s: head: starts with %016" PRIx64 ", expected %016" PRIx64
                    "; not a cluster's file",
                    env->dir, name, h->magic, CLUSTER_MAGIC);
    if (channi_cluster_hash(h, offsetof(struct channi_cluster_head, hash)) != h->hash)
        return wrong(env, name, "head", "its checksum does not fit it");
    if (h->format != CLUSTER_FORMAT)
        return fail(env->error, ERR_VERSION,
                    "channi: %s/%s: file format %" PRIu32 ", this program reads %d", env->dir, name,
                    h->format, CLUSTER_FORMAT);
    if (h->dim != env->dim)
        return fail(env->error, ERR_DIMENSION, "channi: %s/%s: dimension %" PRIu64 ", expected %zu",
                    env->dir, name, h->dim, env->dim);
    if (h->n_columns != env->n_attributes)
        return fail(env->error, ERR_DIMENSION,
                    "channi: %s/%s: %" PRIu32 " attributes a row, expected %zu", env->dir, name,
                    h->n_columns, env->n_attributes);
    if (h->element != (uint32_t)env->element || h->metric != (uint32_t)env->metric)
        return fail(env->error, ERR_DIMENSION,
                    "channi: %s/%s: %s vectors under %s, expected %s under %s", env->dir, name,
                    index_element_name((enum element)h->element),
                    index_metric_name((enum metric)h->metric), index_element_name(env->element),
                    index_metric_name(env->metric));
    if (h->phash != phash || h->version != version)
        return fail(env->error, ERR_CORRUPT,
                    "channi: %s/%s: head: holds %016" PRIx64 ".%016" PRIx64
                    "; the file was renamed",
                    env->dir, name, h->phash, h->version);
    if (h->root >= h->n)
        return wrong(env, name, "head", "the root is not one of its rows");
    return check_sections(env, h, name);
}

struct channi_base *channi_base_create(const struct index_env *env)
{
    struct channi_base *base =
        mem_zalloc(env->mem, sizeof *base + env->n_attributes * sizeof *base->columns);

    if (base)
        base->columns = (struct channi_summary *)(base + 1);
    return base;
}

void channi_cluster_head_base(const struct channi_cluster_head *h, struct channi_base *out)
{
    struct channi_summary *columns = out->columns;

    *out = (struct channi_base){ .phash = h->phash,
                                 .version = h->version,
                                 .n = h->n,
                                 .root = h->root,
                                 .hot_bytes = h->hot_bytes,
                                 .file_bytes = h->file_bytes,
                                 .rows_at = h->sections[SECTION_ROWS].at,
                                 .columns = columns,
                                 .cold_rows = has(h, SECTION_SUMS) };
    if (columns)
        memcpy(columns, h->columns, h->n_columns * sizeof *columns);
}

int channi_cluster_file_head(const struct index_env *env, uint64_t phash, uint64_t version,
                             struct channi_base *out)
{
    char path[PATH_MAX];
    struct channi_cluster_head h;
    struct stat st = { 0 };
    int rc = channi_cluster_file_path(env, phash, version, path);

    if (rc != OK)
        return rc;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(env->error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                          "channi: cannot open the cluster file %s", path);
    const size_t n = file_read_at(fd, &h, sizeof h, 0, NULL);
    if ((n < sizeof h && errno != 0) || fstat(fd, &st) != 0)
        rc = fail_errno(env->error, ERR_IO, "channi: cannot read the cluster file %s", path);
    else if (n < sizeof h)
        rc = fail(env->error, ERR_CORRUPT,
                  "channi: %s: head: the file has %zu bytes, less than %zu", path, n, sizeof h);
    else
        rc = check_head(env, &h, phash, version);
    (void)close(fd);
    if (rc == OK && (uint64_t)st.st_size != h.file_bytes)
        rc = fail(env->error, ERR_CORRUPT,
                  "channi: %s: the file has %jd bytes, expected %" PRIu64 "; it is damaged", path,
                  (intmax_t)st.st_size, h.file_bytes);
    if (rc == OK)
        channi_cluster_head_base(&h, out);
    return rc;
}

/* ---- images */

/* Checks the hashes of all sections within the n_bytes. */
static int check_hashes(const struct index_env *env, const struct channi_base *base,
                        const struct channi_cluster_head *h, const unsigned char *bytes,
                        size_t n_bytes)
{
    for (unsigned i = 0; i < SECTIONS; i++) {
        const size_t at = h->sections[i].at, end = channi_cluster_section_end(h, i);

        if (end <= n_bytes && channi_cluster_hash(bytes + at, end - at) != h->sections[i].hash)
            return wrong(env, channi_base_name(base).text, channi_cluster_section_name(i),
                         "its checksum does not fit it");
    }
    return OK;
}

static int check_numbers(const struct index_env *env, const struct channi_base *base,
                         const struct channi_cluster_head *h, const struct channi_image *image)
{
    for (size_t f = 0; image->attributes && f < h->n_columns; f++)
        if (!channi_summary_fits(&h->columns[f], image->attributes + f * image->n, image->n))
            return wrong(env, channi_base_name(base).text, "attributes",
                         "a column does not fit its summary in the head");
    for (uint32_t i = 0; image->born && i < image->n; i++)
        if (image->dead[i] && image->dead[i] < image->born[i])
            return wrong(env, channi_base_name(base).text, "dead", "a row died before it was born");
    return OK;
}

static int open_graph(struct channi_image *image, const struct index_env *env,
                      const struct channi_base *base, const unsigned char *block,
                      enum channi_image_check check)
{
    const struct channi_cluster_head *h = (const void *)block;
    const unsigned char *bytes = block + h->sections[SECTION_GRAPH].at;
    const size_t n_bytes = h->sections[SECTION_GRAPH].bytes;
    const int rc = (check == IMAGE_WHOLLY ? graph_image_open : graph_image_trust)(
        &image->graph, bytes, n_bytes, channi_base_name(base).text, env->error);

    if (rc != OK)
        return rc;
    image->has_graph = true;
    if (image->graph.n != image->n)
        return wrong(env, channi_base_name(base).text, "graph",
                     "it has not as many nodes as the file has rows");
    return OK;
}

int channi_image_open(struct channi_image *image, const struct index_env *env,
                      const struct channi_base *base, const unsigned char *bytes, size_t n_bytes,
                      enum channi_image_check check)
{
    const struct channi_cluster_head *h = (const void *)bytes;
    int rc;

    if (n_bytes < sizeof *h)
        return wrong(env, channi_base_name(base).text, "head", "the file ends within it");
    rc = check_head(env, h, base->phash, base->version);
    if (rc == OK && (h->n != base->n || h->hot_bytes != base->hot_bytes ||
                     h->file_bytes != base->file_bytes || n_bytes < h->hot_bytes))
        rc = wrong(env, channi_base_name(base).text, "head",
                   "it is not the one that the index was opened with");
    if (rc == OK && check >= IMAGE_HASH)
        rc = check_hashes(env, base, h, bytes, n_bytes);
    if (rc != OK)
        return rc;
#define AT(section) (has(h, section) ? (const void *)(bytes + h->sections[section].at) : NULL)
    *image = (struct channi_image){ .n = h->n,
                                    .root = h->root,
                                    .ids = AT(SECTION_IDS),
                                    .born = AT(SECTION_BORN),
                                    .dead = AT(SECTION_DEAD),
                                    .attributes = AT(SECTION_ATTRIBUTES),
                                    .codes = AT(SECTION_CODES),
                                    .centre = AT(SECTION_CENTRE),
                                    .row_sums = AT(SECTION_SUMS),
                                    .code_error = h->code_error };
    if (!has(h, SECTION_SUMS) || n_bytes >= h->file_bytes)
        image->rows = AT(SECTION_ROWS);
#undef AT
    if (check == IMAGE_WHOLLY)
        rc = check_numbers(env, base, h, image);
    if (rc == OK && has(h, SECTION_GRAPH))
        rc = open_graph(image, env, base, bytes, check);
    return rc;
}

/* ---- writing */

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

/* NULL: out of memory. */
static unsigned char *make(const struct index_env *env, const struct channi_cluster_contents *c)
{
    struct content of[SECTIONS];
    struct channi_cluster_head h = { .magic = CLUSTER_MAGIC,
                                     .format = CLUSTER_FORMAT,
                                     .phash = c->phash,
                                     .version = c->version,
                                     .dim = env->dim,
                                     .element = (uint32_t)env->element,
                                     .metric = (uint32_t)env->metric,
                                     .n = c->n,
                                     .root = c->root,
                                     .n_columns = (uint32_t)env->n_attributes,
                                     .code_error = c->code_error };

    list_contents(env, c, of);
    for (unsigned i = 0; i < SECTIONS; i++)
        h.sections[i].bytes = of[i].from ? of[i].bytes : 0;
    lay_out(&h);
    unsigned char *bytes = NULL;
    int64_t *scratch = c->attributes ? mem_array(env->mem, c->n, sizeof *scratch) : NULL;
    for (size_t f = 0; scratch && f < h.n_columns; f++)
        channi_summary_make(&h.columns[f], c->attributes + f * c->n, c->n, scratch);
    if (scratch || !c->attributes)
        bytes = mem_zalloc(env->mem, h.file_bytes);
    mem_free(env->mem, scratch);
    if (!bytes) {
        (void)CHANNI_NO_MEMORY(env, " for the file of a cluster of %" PRIu32 " rows (%zu bytes)",
                               c->n, (size_t)h.file_bytes);
        return NULL;
    }
    fill(env, &h, of, bytes);
    for (unsigned i = 0; i < SECTIONS; i++)
        h.sections[i].hash = channi_cluster_hash(
            bytes + h.sections[i].at, channi_cluster_section_end(&h, i) - h.sections[i].at);
    h.hash = channi_cluster_hash(&h, offsetof(struct channi_cluster_head, hash));
    memcpy(bytes, &h, sizeof h);
    return bytes;
}

int channi_cluster_file_write(const struct index_env *env, const struct channi_cluster_contents *c,
                              bool durable, const struct file_fault *fault, unsigned char **bytes)
{
    char path[PATH_MAX];
    const int rc = channi_cluster_file_path(env, c->phash, c->version, path);

    *bytes = rc == OK ? make(env, c) : NULL;
    if (!*bytes)
        return rc == OK ? ERR_NO_MEMORY : rc;
    const size_t n = ((const struct channi_cluster_head *)(const void *)*bytes)->file_bytes;
    const int fd = file_faulted(fault, "open")
                       ? -1
                       : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    const char *failed = /* the step that did */
        fd < 0                                 ? "create"
        : file_write(fd, *bytes, n, fault) < n ? "write"
        : durable && !file_sync(fd, fault)     ? "sync"
                                               : NULL;
    int why = errno;
    if (fd >= 0) {
        const bool refused = file_faulted(fault, "close");
        if ((close(fd) != 0 || refused) && !failed) {
            failed = "close";
            why = errno;
        }
        if (failed)
            (void)unlink(path);
    }
    if (!failed)
        return OK;
    mem_free(env->mem, *bytes);
    *bytes = NULL;
    errno = why;
    return fail_errno(env->error, ERR_IO, "channi: cannot %s the cluster file %s", failed, path);
}
