/* link.c - the insert phase of a streaming merge: each recent row is searched for on disk; robust
 * prune selects its links among what the search expanded and its neighbours in memory. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/vamana_disk/stream_internal.h"
#include "src/core/order.h"
#include "src/core/parallel.h"

enum { ROWS_A_CHUNK = 16, WIDTH = 8 };

struct linking {
    struct vamana_disk_stream *s;
    struct vamana_disk_prune *workers;
    size_t most; /* candidates on disk of one row */
};

static int link_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct linking *job = arg;
    struct vamana_disk_stream *s = job->s;
    const struct vamana_disk_layout *l = &s->part->layout;
    struct vamana_disk_prune *w = &job->workers[worker];
    struct vamana_disk_scratch *x = vamana_disk_scratch_take(s->part);
    int rc = OK;

    if (!x)
        return fail(s->h->base.env.error, ERR_NO_MEMORY, "vamana-disk: out of memory for a search");
    for (size_t i = first; i < end && rc == OK; i++) {
        uint32_t *links = s->links + i * (l->degree + 1), near[256];

        rc = vamana_disk_beam_row(s->part, x, s->rows + i * l->row_bytes,
                                  (size_t)s->h->params.build_list, WIDTH);
        if (rc != OK)
            break;
        vamana_disk_prune_begin(w, (uint32_t)(s->kept + i));
        for (size_t j = 0; j < x->n_found && j < job->most; j++)
            vamana_disk_prune_add(w, x->found[j]);
        const size_t n_near = graph_links(s->recent->graph, s->nodes[i], near);
        for (size_t j = 0; j < n_near; j++)
            vamana_disk_prune_add(w, (uint32_t)(s->kept + s->number_of[near[j]]));
        links[0] = (uint32_t)vamana_disk_prune(w, true, links + 1);
    }
    vamana_disk_scratch_give(s->part, x);
    return rc;
}

static void collect_back(struct vamana_disk_stream *s)
{
    const size_t degree = s->part->layout.degree;

    for (size_t i = 0; i < s->n_recent; i++) {
        const uint32_t *links = s->links + i * (degree + 1);

        for (size_t j = 1; j <= links[0]; j++)
            s->back[s->n_back++] = (uint64_t)links[j] << 32 | (s->kept + i);
    }
    qsort(s->back, s->n_back, sizeof *s->back, order_u64);
}

int vamana_disk_link_recent(struct vamana_disk_stream *s)
{
    const struct index_env *env = &s->h->base.env;
    const size_t threads = pool_threads(env->pool), degree = s->part->layout.degree;
    struct linking job = { .s = s, .most = 4 * (size_t)s->h->params.build_list + 256 };
    bool ready;

    s->links = mem_group_array(&s->memory, s->n_recent, (degree + 1) * sizeof *s->links);
    s->back = mem_group_array(&s->memory, s->n_recent, degree * sizeof *s->back);
    job.workers = mem_group_zalloc(&s->memory, threads, sizeof *job.workers);
    ready = !s->memory.failed;
    for (size_t i = 0; ready && i < threads; i++)
        ready = vamana_disk_prune_init(&job.workers[i], s->part, job.most + degree);
    const int rc =
        ready ? parallel_for(env->pool, threads, s->n_recent, ROWS_A_CHUNK, link_chunk, &job)
              : fail(env->error, ERR_NO_MEMORY, "vamana-disk: out of memory to merge %zu rows",
                     s->n_recent);
    if (rc == OK)
        collect_back(s);
    for (size_t i = 0; job.workers && i < threads; i++)
        vamana_disk_prune_free(&job.workers[i]);
    return rc;
}
