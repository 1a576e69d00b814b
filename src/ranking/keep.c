/* keep.c - chooses the builds that are measured again, by rank and by the time that they take. */
#include <string.h>

#include "src/ranking/ranking.h"

static const double near_best = .8; /* of the rate of a family's best build */

bool ranking_same_family(const struct ranking_build *a, const struct ranking_build *b)
{
    return a->family == b->family && !memcmp(a->label, b->label, a->family);
}

const struct ranking_build *ranking_best_of_family(const struct ranking *r,
                                                   const struct ranking_build *s)
{
    for (size_t i = 0; i < r->ranked; i++)
        if (ranking_same_family(&r->of[i], s))
            return &r->of[i];
    return s;
}

static void keep(struct ranking *r, struct ranking_build *s)
{
    s->kept = true;
    r->kept++;
    r->kept_s += s->next_s;
}

static void keep_if_time(struct ranking *r, struct ranking_build *s,
                         const struct ranking_next *next)
{
    if (!s->kept && r->kept_s + s->next_s <= next->seconds)
        keep(r, s);
}

bool ranking_keep(struct ranking *r, const struct ranking_next *next)
{
    const double least = r->ranked ? r->of[0].qps / next->within : 0;
    r->kept = 0;
    r->kept_s = 0;
    for (size_t i = 0; i < r->n; i++)
        r->of[i].kept = false;
    for (size_t i = 0; i < r->ranked && i < 2; i++)
        keep(r, &r->of[i]);
    r->fewest_s = r->kept_s;
    for (size_t i = 0; i < r->ranked; i++)
        if (r->of[i].qps >= least && ranking_best_of_family(r, &r->of[i]) == &r->of[i])
            keep_if_time(r, &r->of[i], next);
    for (size_t i = 0; i < r->ranked; i++)
        if (r->of[i].qps >= least &&
            r->of[i].qps >= near_best * ranking_best_of_family(r, &r->of[i])->qps)
            keep_if_time(r, &r->of[i], next);
    return r->fewest_s <= next->seconds;
}
