/* index.c - names and sizes of the kinds of vectors. */
#include "index.h"

size_t element_row_bytes(enum element element, size_t dim)
{
    switch (element) {
        case ELEMENT_F32: return dim * sizeof(float);
        case ELEMENT_U8: return dim;
        case ELEMENT_B64: return dim / 8;
    }
    return 0;
}

const char *element_name(enum element element)
{
    switch (element) {
        case ELEMENT_F32: return "f32";
        case ELEMENT_U8: return "u8";
        case ELEMENT_B64: return "b64";
    }
    return "?";
}

const char *metric_name(enum metric metric)
{
    switch (metric) {
        case METRIC_L2SQ: return "l2";
        case METRIC_IP: return "ip";
        case METRIC_COS: return "cosine";
        case METRIC_HAMMING: return "hamming";
    }
    return "?";
}

bool index_takes(const struct index_ops *ops, enum element element, enum metric metric)
{
    for (const struct index_space *s = ops->spaces; s && (int)s->element != -1; s++)
        if (s->element == element && s->metric == metric)
            return true;
    return false;
}
