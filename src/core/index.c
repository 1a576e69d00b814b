/* index.c - names of elements and metrics, sizes and lengths of rows, radii, and conditions on
 * attributes. */
#include "src/core/index.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/order.h"

size_t index_row_bytes(enum element element, size_t dim)
{
    switch (element) {
        case INDEX_F32: return dim * sizeof(float);
        case INDEX_U8: return dim;
        case INDEX_B64: return dim / 8;
    }
    return 0;
}

const char *const index_element_names[] = {
    [INDEX_F32] = "f32", [INDEX_U8] = "u8", [INDEX_B64] = "b64", NULL
};
#define NAME(metric, name) [INDEX_##metric] = (name),
const char *const index_metric_names[] = { INDEX_METRICS(NAME) NULL };
#undef NAME
enum { N_METRICS = sizeof index_metric_names / sizeof *index_metric_names - 1 };

const char *index_element_name(enum element element)
{
    return (unsigned)element <= INDEX_B64 ? index_element_names[element] : "?";
}

const char *index_metric_name(enum metric metric)
{
    return (unsigned)metric < N_METRICS ? index_metric_names[metric] : "?";
}

/* Returns the position of a name in a list that ends with NULL; -1: it is absent. */
static int position_of(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

bool index_element_named(const char *name, enum element *element)
{
    const int at = position_of(index_element_names, name);
    if (at >= 0)
        *element = (enum element)at;
    return at >= 0;
}

bool index_metric_named(const char *name, enum metric *metric)
{
    const int at = position_of(index_metric_names, name);
    if (at >= 0)
        *metric = (enum metric)at;
    return at >= 0;
}

bool index_takes(const struct index_ops *ops, enum element element, size_t dim, enum metric metric)
{
    if (element == INDEX_B64 && dim != 64 && !(ops->flags & INDEX_WIDE_CODES))
        return false;
    for (const struct index_space *s = ops->spaces; s && (int)s->element != -1; s++)
        if (s->element == element && s->metric == metric)
            return true;
    return false;
}

bool index_attribute_meets(const struct attribute_condition *c, const int64_t *values,
                           int64_t number)
{
    values += c->first;
    if (number == INDEX_ATTRIBUTE_NONE || c->test == INDEX_ATTRIBUTE_MISSING)
        return (number == INDEX_ATTRIBUTE_NONE) == (c->test == INDEX_ATTRIBUTE_MISSING);
    if (c->test == INDEX_ATTRIBUTE_RANGE)
        return number >= values[0] && number <= values[1];
    const bool among = bsearch(&number, values, c->n, sizeof number, order_i64) != NULL;
    return among == (c->test == INDEX_ATTRIBUTE_IN);
}

/* The bitmap's last word may have bits beyond the ids. */
size_t index_filter_count(const struct id_filter *filter, size_t most)
{
    const uint64_t whole = filter->n_ids / 64, rest = filter->n_ids % 64;
    size_t n = 0;
    for (uint64_t i = 0; i < whole && n < most; i++)
        n += (size_t)__builtin_popcountll(filter->bits[i]);
    if (rest && n < most)
        n += (size_t)__builtin_popcountll(filter->bits[whole] & ((UINT64_C(1) << rest) - 1));
    return n < most ? n : most;
}

bool index_attribute_filter_allows(const struct attribute_filter *f, const int64_t *record,
                                   size_t stride)
{
    for (size_t i = 0; f && i < f->n; i++) {
        const struct attribute_condition *c = &f->conditions[i];

        if (!index_attribute_meets(c, f->values,
                                   record ? record[c->field * stride] : INDEX_ATTRIBUTE_NONE))
            return false;
    }
    return true;
}

/* The bits of a positive double ascend with it as an integer; those of a negative one descend. */
int64_t index_attribute_of_real(double x)
{
    int64_t bits;

    if (isnan(x))
        return INDEX_ATTRIBUTE_NONE;
    x += 0.0; /* -0 becomes 0 */
    memcpy(&bits, &x, sizeof bits);
    return bits >= 0 ? bits : bits ^ INT64_MAX;
}

double index_attribute_to_real(int64_t number)
{
    const int64_t bits = number >= 0 ? number : number ^ INT64_MAX;
    double x;

    if (number == INDEX_ATTRIBUTE_NONE)
        return NAN;
    memcpy(&x, &bits, sizeof x);
    return x;
}

const char *index_radius_fault(enum metric metric, size_t dim, double radius)
{
    if (isnan(radius))
        return "is not a number";
    switch (metric) {
        case INDEX_IP: return NULL;
        case INDEX_HAMMING:
            if (radius >= 0 && radius <= (double)dim && radius == floor(radius))
                return NULL;
            return dim == 64
                       ? "is not a number of differing bits; expected a whole number 0 .. 64"
                       : "is not a number of differing bits; expected a whole number from 0 to "
                         "the bits of a code";
        case INDEX_L2SQ:
        case INDEX_COS: break;
    }
    return radius < 0 ? "is below 0, as no distance of this metric is" : NULL;
}

/* ---- lengths of rows */

enum { LANES = 16 };

/* Summed in lanes, which compilers vectorise. Not finite if a component is not. */
static float squared_length(const float_anywhere *row, size_t dim)
{
    float lanes[LANES] = { 0 }, sum = 0;
    size_t j = 0;
    for (; j + LANES <= dim; j += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] += row[j + lane] * row[j + lane];
    for (; j < dim; j++)
        sum += row[j] * row[j];
    for (size_t lane = 0; lane < LANES; lane++)
        sum += lanes[lane];
    return sum;
}

/* The first that is not finite, else the largest. */
static size_t worst_component(const float_anywhere *row, size_t dim)
{
    size_t worst = 0;
    for (size_t j = 0; j < dim; j++) {
        if (!isfinite(row[j]))
            return j;
        if (fabsf(row[j]) > fabsf(row[worst]))
            worst = j;
    }
    return worst;
}

enum row_range index_row_range(const float_anywhere *row, size_t dim)
{
    const float squared = squared_length(row, dim);
    if (squared >= FLT_MIN && squared <= FLT_MAX / 4)
        return INDEX_ROW_FITS;
    const float worst = row[worst_component(row, dim)];
    if (!isfinite(worst))
        return INDEX_ROW_NOT_FINITE;
    return worst == 0          ? INDEX_ROW_ZERO
           : squared < FLT_MIN ? INDEX_ROW_TOO_SMALL
                               : INDEX_ROW_TOO_LARGE;
}

int index_row_refuse(struct error *err, const char *where, const float_anywhere *row, size_t dim,
                     size_t first)
{
    const size_t at = worst_component(row, dim);
    if (!isfinite(row[at]))
        return fail(err, ERR_NOT_FINITE, "%s %zu is %s; every value must be finite", where,
                    at + first, isnan(row[at]) ? "NaN" : "infinite");
    return fail(err, ERR_NOT_FINITE,
                "%s %zu is %g: the squared length of the row is too %s for f32, in which distances "
                "are computed; expected lengths from 1e-19 to 9e18, so scale the rows, or leave "
                "this one out",
                where, at + first, (double)row[at], fabsf(row[at]) > 1 ? "large" : "small");
}

bool index_all_finite(const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

/* ---- answers */

void index_answer_none(const struct search_request *request, struct search_result *result)
{
    for (size_t i = 0; i < request->queries.n * request->k; i++) {
        result->ids[i] = INDEX_NO_ID;
        result->distances[i] = INFINITY;
    }
}
