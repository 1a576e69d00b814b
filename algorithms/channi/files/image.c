/* image.c - opens the hot part of a cluster's file in memory. */
#include <inttypes.h>

#include "algorithms/channi/files/cluster_layout.h"
#include "src/core/error.h"

static int wrong(const struct index_env *env, const struct channi_base *base, const char *section,
                 const char *what)
{
    char name[CLUSTER_NAME_MAX];

    channi_cluster_file_name(base->phash, base->version, name);
    return fail(env->error, ERR_CORRUPT, "channi: %s/%s: section \"%s\": %s; the file is damaged",
                env->dir, name, section, what);
}

static bool has(const struct channi_cluster_head *h, enum channi_cluster_section section)
{
    return h->has >> section & 1;
}

/* Checks the hashes of all sections within the n_bytes. */
static int check_hashes(const struct index_env *env, const struct channi_base *base,
                        const struct channi_cluster_head *h, const unsigned char *bytes,
                        size_t n_bytes)
{
    for (unsigned i = 0; i < SECTIONS; i++) {
        const size_t at = h->sections[i].at, end = channi_cluster_section_end(h, i);

        if (end <= n_bytes && channi_cluster_hash(bytes + at, end - at) != h->sections[i].hash)
            return wrong(env, base, channi_cluster_section_name(i), "its checksum does not fit it");
    }
    return OK;
}

static int check_numbers(const struct index_env *env, const struct channi_base *base,
                         const struct channi_cluster_head *h, const struct channi_image *image)
{
    for (size_t f = 0; image->attributes && f < h->n_columns; f++)
        if (!channi_summary_fits(&h->columns[f], image->attributes + f * image->n, image->n))
            return wrong(env, base, "attributes", "a column does not fit its summary in the head");
    for (uint32_t i = 0; image->born && i < image->n; i++)
        if (image->dead[i] && image->dead[i] < image->born[i])
            return wrong(env, base, "dead", "a row died before it was born");
    return OK;
}

static int open_graph(struct channi_image *image, const struct index_env *env,
                      const struct channi_base *base, const unsigned char *block,
                      enum channi_image_check check)
{
    const struct channi_cluster_head *h = (const void *)block;
    const unsigned char *bytes = block + h->sections[SECTION_GRAPH].at;
    const size_t n_bytes = h->sections[SECTION_GRAPH].bytes;
    char name[CLUSTER_NAME_MAX];
    int rc;

    channi_cluster_file_name(base->phash, base->version, name);
    rc = (check == IMAGE_WHOLLY ? graph_image_open : graph_image_trust)(&image->graph, bytes,
                                                                        n_bytes, name, env->error);
    if (rc != OK)
        return rc;
    image->has_graph = true;
    if (image->graph.n != image->n)
        return wrong(env, base, "graph", "it has not as many nodes as the file has rows");
    return OK;
}

int channi_image_open(struct channi_image *image, const struct index_env *env,
                      const struct channi_base *base, const unsigned char *bytes, size_t n_bytes,
                      enum channi_image_check check)
{
    const struct channi_cluster_head *h = (const void *)bytes;
    int rc;

    if (n_bytes < sizeof *h)
        return wrong(env, base, "head", "the file ends within it");
    rc = channi_cluster_head_check(env, h, base->phash, base->version);
    if (rc == OK && (h->n != base->n || h->hot_bytes != base->hot_bytes ||
                     h->file_bytes != base->file_bytes || n_bytes < h->hot_bytes))
        rc = wrong(env, base, "head", "it is not the one that the index was opened with");
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
    if (!h->cold_rows || n_bytes >= h->file_bytes)
        image->rows = AT(SECTION_ROWS);
#undef AT
    if (check == IMAGE_WHOLLY)
        rc = check_numbers(env, base, h, image);
    if (rc == OK && has(h, SECTION_GRAPH))
        rc = open_graph(image, env, base, bytes, check);
    return rc;
}
