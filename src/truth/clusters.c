/* clusters.c - see clusters.h. */
#include "src/truth/clusters.h"
#include "src/core/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/workload/gather.h"

/* ---- 1. agreement with labels */

struct pair {
    uint64_t cluster;
    uint32_t class;
};

static int by_cluster(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;

    if (x->cluster != y->cluster)
        return x->cluster < y->cluster ? -1 : 1;
    return (x->class > y->class) - (x->class < y->class);
}

static int by_class(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;

    return (x->class > y->class) - (x->class < y->class);
}

/* Sums over the groups of rows of one kind: of -p log p, and of pairs of rows in one group. */
struct group_sums {
    double entropy, pairs;
};

static void add_group(struct group_sums *s, double rows, double n)
{
    s->entropy -= rows / n * log(rows / n);
    s->pairs += rows * (rows - 1) / 2;
}

static struct group_sums sum_classes(struct pair *pairs, size_t n)
{
    struct group_sums s = { 0 };

    qsort(pairs, n, sizeof *pairs, by_class);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && pairs[end].class == pairs[i].class;)
            end++;
        add_group(&s, (double)(end - i), (double)n);
    }
    return s;
}

/* The cells are the rows of one cluster and one class. *pure: the largest cells, summed. */
static void sum_clusters(struct pair *pairs, size_t n, struct group_sums *clusters,
                         struct group_sums *cells, double *pure)
{
    qsort(pairs, n, sizeof *pairs, by_cluster);
    for (size_t i = 0, end; i < n; i = end) {
        size_t most = 0;

        for (end = i; end < n && pairs[end].cluster == pairs[i].cluster;) {
            const size_t from = end;

            while (end < n && by_cluster(&pairs[end], &pairs[from]) == 0)
                end++;
            add_group(cells, (double)(end - from), (double)n);
            most = end - from > most ? end - from : most;
        }
        add_group(clusters, (double)(end - i), (double)n);
        *pure += (double)most;
    }
}

int score_agreement(const uint32_t *classes, const uint64_t *clusters, size_t n,
                    struct score_agreement *out, struct error *err)
{
    struct pair *pairs = mem_array(NULL, n + 1, sizeof *pairs);
    struct group_sums of_clusters = { 0 }, cells = { 0 };
    double pure = 0;

    if (!pairs)
        return fail(err, ERR_NO_MEMORY, "clusters: out of memory for %zu labels", n);
    for (size_t i = 0; i < n; i++)
        pairs[i] = (struct pair){ clusters[i], classes[i] };
    const struct group_sums of_classes = sum_classes(pairs, n);
    sum_clusters(pairs, n, &of_clusters, &cells, &pure);
    mem_free(NULL, pairs);
    const double mean = (of_clusters.entropy + of_classes.entropy) / 2;
    const double shared = of_clusters.entropy + of_classes.entropy - cells.entropy;
    const double all = (double)n * ((double)n - 1) / 2;
    const double expected = all > 0 ? of_clusters.pairs * of_classes.pairs / all : 0;
    const double most = (of_clusters.pairs + of_classes.pairs) / 2;
    out->nmi = mean > 0 ? fmin(fmax(shared / mean, 0), 1) : 1;
    out->ari = most > expected ? (cells.pairs - expected) / (most - expected) : 1;
    out->purity = pure / (double)n;
    return OK;
}

/* ---- 2. sizes */

void score_sizes(uint64_t *sizes, size_t n, struct score_sizes *out)
{
    double sum = 0, weighted = 0;
    size_t empty = 0;

    qsort(sizes, n, sizeof *sizes, order_u64);
    while (empty < n && sizes[empty] == 0)
        empty++;
    sizes += empty;
    n -= empty;
    *out = (struct score_sizes){ (double)n, NAN, NAN, NAN, NAN };
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        sum += (double)sizes[i];
        weighted += (double)(i + 1) * (double)sizes[i];
    }
    const double count = (double)n;
    out->smallest = (double)sizes[0];
    out->median = ((double)sizes[(n - 1) / 2] + (double)sizes[n / 2]) / 2;
    out->largest = (double)sizes[n - 1];
    out->gini = 2 * weighted / (count * sum) - (count + 1) / count;
}

/* ---- 3. spread within clusters */

enum { BLOCK_ROWS = 256 };

/* Sums of rows: per cluster, and of all. */
struct spread {
    size_t dim, n_clusters;
    double *sums, *counts; /* (n_clusters + 1) x dim, n_clusters + 1; the last is of all */
    double squares;        /* of the lengths of all rows */
    struct buffer rows, floats;
};

static int spread_open(struct spread *s, size_t dim, size_t n_clusters, struct error *err)
{
    *s = (struct spread){ .dim = dim, .n_clusters = n_clusters };
    if (n_clusters < SIZE_MAX / sizeof(double) / (dim + 1) - 1) {
        s->sums = mem_zalloc(NULL, (n_clusters + 1) * dim * sizeof *s->sums);
        s->counts = mem_zalloc(NULL, (n_clusters + 1) * sizeof *s->counts);
    }
    if (!s->sums || !s->counts)
        return fail(err, ERR_NO_MEMORY, "clusters: out of memory for %zu means", n_clusters);
    const int rc = buffer_reserve(&s->rows, BLOCK_ROWS * dim * sizeof(float), err);
    return rc == OK ? buffer_reserve(&s->floats, BLOCK_ROWS * dim * sizeof(float), err) : rc;
}

static void spread_close(struct spread *s)
{
    mem_free(NULL, s->sums);
    mem_free(NULL, s->counts);
    buffer_free(&s->rows);
    buffer_free(&s->floats);
}

/* Reads rows as floats. */
static int spread_read(struct spread *s, const struct live_state *now, const uint64_t *ids,
                       size_t n, struct error *err)
{
    const enum element element = now->list->element;
    float *floats = s->floats.bytes;

    if (element != INDEX_B64) {
        const int rc = live_state_read(now, ids, n, INDEX_F32, floats, err);
        if (rc == OK && now->list->metric == INDEX_COS)
            gather_scale_to_unit(floats, n, s->dim);
        return rc;
    }
    const int rc = live_state_read(now, ids, n, element, s->rows.bytes, err);
    const unsigned char *bytes = s->rows.bytes;
    for (size_t i = 0; rc == OK && i < n * s->dim; i++)
        floats[i] = (float)(bytes[i / 8] >> i % 8 & 1);
    return rc;
}

static void spread_add(struct spread *s, const float *row, uint64_t cluster)
{
    double *own = s->sums + cluster * s->dim, *all = s->sums + s->n_clusters * s->dim;

    for (size_t j = 0; j < s->dim; j++) {
        const double x = (double)row[j];
        own[j] += x;
        all[j] += x;
        s->squares += x * x;
    }
    s->counts[cluster]++;
    s->counts[s->n_clusters]++;
}

/* |sum|^2 / n, the squares that distances to the mean lack. */
static double explained(const struct spread *s, size_t cluster)
{
    double length = 0;

    for (size_t j = 0; j < s->dim; j++)
        length += s->sums[cluster * s->dim + j] * s->sums[cluster * s->dim + j];
    return s->counts[cluster] > 0 ? length / s->counts[cluster] : 0;
}

static double spread_share(const struct spread *s)
{
    const double total = s->squares - explained(s, s->n_clusters);
    double within = s->squares;

    if (!(s->counts[s->n_clusters] > 0))
        return NAN;
    for (size_t c = 0; c < s->n_clusters; c++)
        within -= explained(s, c);
    /* Less is the rounding of equal rows. */
    return total > 1e-12 * s->squares ? fmin(fmax(within / total, 0), 1) : 0;
}

int score_within(const struct live_state *now, const uint64_t *ids, const uint64_t *clusters,
                 size_t n, size_t n_clusters, double *share, struct error *err)
{
    struct spread s;
    int rc = spread_open(&s, now->list->dim, n_clusters, err);

    for (size_t first = 0; rc == OK && first < n; first += BLOCK_ROWS) {
        const size_t count = n - first < BLOCK_ROWS ? n - first : BLOCK_ROWS;

        rc = spread_read(&s, now, ids + first, count, err);
        for (size_t i = 0; rc == OK && i < count; i++)
            if (clusters[first + i] != INDEX_NO_CLUSTER)
                spread_add(&s, (const float *)s.floats.bytes + i * s.dim, clusters[first + i]);
    }
    *share = rc == OK ? spread_share(&s) : NAN;
    spread_close(&s);
    return rc;
}
