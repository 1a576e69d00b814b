/* members.c - adding, removing and moving lists together with their maintenance state. */
#include "algorithms/divf/maintenance/members.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/rng.h"

/* distinct from the streams of training and splits */
static const uint64_t STREAM_MAINTENANCE = UINT64_C(1) << 48;

static int out_of_memory(const struct divf *d)
{
    return fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory for the maintenance of %zu lists",
                d->lists.n);
}

void divf_forget_moves(struct divf *d)
{
    struct divf_maintainer *u = d->maintenance;
    for (size_t i = 0; i < u->n; i++) {
        struct divf_list_state *l = &u->list[i];
        mem_free(d->env.mem, l->was);
        *l = (struct divf_list_state){ .refused = l->refused };
    }
    u->tick = u->checked_at = 0;
    u->n_pending = u->n_quiet = u->n_fresh = 0;
}

/* Forgets all lists, too. */
static void forget(struct divf *d)
{
    struct divf_maintainer *u = d->maintenance;
    divf_forget_moves(d);
    u->n = u->at = 0;
    u->cycling = false;
}

/* For the present soft_k and reassign_lists, which set_params() may change. */
static int make_scratch(struct divf *d)
{
    struct mem *mem = d->env.mem;
    struct divf_maintainer *u = d->maintenance;
    const size_t lists = (size_t)d->params.soft_k + 1, near = (size_t)d->params.reassign_lists + 2;
    if (u->answer_lists < lists || u->near_capacity < near) {
        struct mem_group *g = &u->memory;
        nearest_destroy(mem, u->nearest);
        mem_group_free(g);
        g->mem = mem;
        u->nearest = nearest_create(mem, lists);
        u->rows = mem_group_array(g, NEAREST_ROWS * d->env.dim, sizeof *u->rows);
        u->mean = mem_group_array(g, d->env.dim, sizeof *u->mean);
        u->sums = mem_group_array(g, d->env.dim, sizeof *u->sums);
        u->answer = mem_group_array(g, NEAREST_ROWS * lists, sizeof *u->answer);
        u->near = mem_group_array(g, near * d->env.dim, sizeof *u->near);
        u->near_norm = mem_group_array(g, near, sizeof *u->near_norm);
        u->near_list = mem_group_array(g, near, sizeof *u->near_list);
        u->answer_lists = u->nearest && !g->failed ? lists : 0;
        u->near_capacity = near;
    }
    if (!u->nearest_near)
        u->nearest_near = nearest_create(mem, 1);
    return u->answer_lists > 0 && u->nearest_near ? OK : out_of_memory(d);
}

/* Allocates state and scratch for `n` lists. */
static int fit(struct divf *d, size_t n)
{
    struct mem *mem = d->env.mem;
    struct divf_maintainer *u = d->maintenance;
    if (n > u->distances_capacity) {
        size_t capacity = n + n / 4 + 8;
        if (!mem_fit(mem, &u->distances, capacity, sizeof *u->distances) ||
            !mem_fit(mem, &u->ranked, capacity, sizeof *u->ranked))
            return out_of_memory(d);
        u->distances_capacity = capacity;
    }
    if (!mem_grow(mem, &u->list, &u->capacity, n, sizeof *u->list))
        return out_of_memory(d);
    for (; u->n < n; u->n++)
        u->list[u->n] = (struct divf_list_state){ 0 };
    return OK;
}

int divf_maintenance_ready(struct divf *d)
{
    if (!d->maintenance)
        d->maintenance = mem_zalloc(d->env.mem, sizeof *d->maintenance);
    if (!d->maintenance)
        return out_of_memory(d);
    if (d->maintenance->trainings != d->counters.trainings) {
        forget(d);
        d->maintenance->trainings = d->counters.trainings;
    }
    int rc = make_scratch(d);
    return rc ? rc : fit(d, d->lists.n);
}

void divf_maintenance_free(struct divf *d)
{
    struct divf_maintainer *u = d->maintenance;
    struct mem *mem = d->env.mem;
    if (!u)
        return;
    forget(d);
    nearest_destroy(mem, u->nearest);
    nearest_destroy(mem, u->nearest_near);
    mem_group_free(&u->memory);
    mem_free(mem, u->list);
    mem_free(mem, u->slots);
    mem_free(mem, u->to);
    mem_free(mem, u->distances);
    mem_free(mem, u->ranked);
    mem_free(mem, u);
    d->maintenance = NULL;
}

uint64_t divf_maintenance_bytes(const struct divf *d)
{
    const struct divf_maintainer *u = d->maintenance;
    if (!u)
        return 0;
    size_t dim = d->env.dim, was = 0;
    for (size_t i = 0; i < u->n; i++)
        was += u->list[i].was != NULL;
    return sizeof *u + (u->nearest ? nearest_bytes(u->nearest) : 0) +
           (u->nearest_near ? nearest_bytes(u->nearest_near) : 0) + u->capacity * sizeof *u->list +
           was * dim * sizeof(float) + NEAREST_ROWS * dim * sizeof(float) +
           dim * (sizeof *u->mean + sizeof *u->sums) +
           NEAREST_ROWS * u->answer_lists * sizeof *u->answer +
           u->slots_capacity * 2 * sizeof *u->slots +
           u->near_capacity * ((dim + 1) * sizeof(float) + sizeof *u->near_list) +
           u->distances_capacity * (sizeof *u->distances + sizeof *u->ranked);
}

double divf_fair_length(const struct divf *d)
{
    size_t lists = divf_clusters_wanted(d, d->slots.ids.n);
    return (double)d->lists.live / (double)lists;
}

struct rng divf_maintenance_rng(struct divf *d)
{
    return rng_at(d->env.seed, STREAM_MAINTENANCE + d->counters.maintenance.random++);
}

int divf_maintenance_reserve(struct divf *d, size_t n)
{
    struct divf_maintainer *u = d->maintenance;
    if (n <= u->slots_capacity)
        return OK;
    size_t capacity = n + n / 4;
    if (!mem_fit(d->env.mem, &u->slots, capacity, sizeof *u->slots) ||
        !mem_fit(d->env.mem, &u->to, capacity, sizeof *u->to))
        return out_of_memory(d);
    u->slots_capacity = capacity;
    return OK;
}

/* Vectors are scattered, and too short for the hardware prefetcher: the next ones are prefetched
   while one is copied. */
static void fetch(const char *row, size_t bytes)
{
    for (size_t j = 0; j < bytes; j += 64)
        __builtin_prefetch(row + j);
}

void divf_gather_rows(const struct divf *d, const uint32_t *slots, size_t n, float *rows)
{
    enum { AHEAD = 2 };
    size_t dim = d->env.dim, bytes = d->vectors.element_bytes;
    for (size_t i = 0; i < n && i < AHEAD; i++)
        fetch(divf_row(&d->lists, slots[i]), bytes);
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            fetch(divf_row(&d->lists, slots[i + AHEAD]), bytes);
        divf_widen(&d->lists.space, divf_row(&d->lists, slots[i]), 1, rows + i * dim);
    }
}

void divf_gather_sample(const struct divf *d, struct rng *rng, const uint32_t *slots, size_t n,
                        size_t m, float *rows)
{
    uint64_t picks[NEAREST_ROWS];
    uint32_t some[NEAREST_ROWS];
    rng_sample(rng, n, m, picks);
    for (size_t i = 0; i < m; i++)
        some[i] = slots[picks[i]];
    divf_gather_rows(d, some, m, rows);
}

size_t divf_near_centroids(struct divf *d, const float *vector, size_t m, size_t except)
{
    struct divf_maintainer *u = d->maintenance;
    const struct kernels *kernels = d->env.kernels;
    size_t n = d->lists.n, most = except < n ? n - 1 : n;
    if (m >= most) { /* unordered, which is enough when all are returned */
        m = 0;
        for (size_t i = 0; i < n; i++)
            if (i != except)
                u->ranked[m++] = (uint32_t)i;
        return m;
    }
    kernels->l2sq_f32_1n(vector, d->lists.centroids, n, d->env.dim, u->distances);
    if (except < n)
        u->distances[except] = INFINITY;
    for (size_t i = 0; i < m; i++) {
        u->ranked[i] = (uint32_t)kernels->argmin_f32(u->distances, n);
        u->distances[u->ranked[i]] = INFINITY;
    }
    return m;
}

int divf_maintenance_list_add(struct divf *d, const float *centroid)
{
    int rc = fit(d, d->lists.n + 1);
    if (!rc)
        rc = divf_list_add(&d->lists, centroid, (int64_t)d->counters.insert_batches);
    d->maintenance->n = d->lists.n;
    return rc;
}

void divf_maintenance_list_remove(struct divf *d, size_t list)
{
    struct divf_maintainer *u = d->maintenance;
    const struct divf_list_state *l = &u->list[list];
    u->n_pending -= l->pending;
    u->n_quiet -= l->quiet;
    u->n_fresh -= l->fresh;
    mem_free(d->env.mem, l->was);
    u->list[list] = u->list[--u->n];
    divf_list_remove(&d->lists, list);
}

uint64_t divf_move_centroid(struct divf *d, size_t list, const float *centroid)
{
    size_t bytes = d->env.dim * sizeof *centroid;
    struct divf_list_state *l = &d->maintenance->list[list];
    if (l->moved <= l->compared && !l->was) {
        l->was = mem_alloc(d->env.mem, bytes);
        if (l->was)
            memcpy(l->was, d->lists.centroids + list * d->env.dim, bytes);
    }
    l->moved = ++d->maintenance->tick;
    divf_centroid_set(&d->lists, list, centroid);
    return divf_codes_per_list(d) ? d->lists.list[list]->live : 0;
}

int divf_list_mean(struct divf *d, size_t list, uint64_t *spent)
{
    struct divf_maintainer *u = d->maintenance;
    const size_t dim = d->env.dim, live = d->lists.list[list]->live;
    int rc = divf_maintenance_reserve(d, live);
    if (rc)
        return rc;
    divf_list_slots(&d->lists, list, u->slots);
    memset(u->sums, 0, dim * sizeof *u->sums);
    for (size_t first = 0; first < live; first += NEAREST_ROWS) {
        const size_t n = live - first < NEAREST_ROWS ? live - first : NEAREST_ROWS;
        divf_gather_rows(d, u->slots + first, n, u->rows);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < dim; j++)
                u->sums[j] += (double)u->rows[i * dim + j];
    }
    for (size_t j = 0; j < dim; j++)
        u->mean[j] = (float)(u->sums[j] / (double)live);
    *spent += live;
    return OK;
}

static uint64_t changes(const struct divf *d)
{
    return d->counters.inserted + d->counters.removed;
}

uint64_t divf_cycle_changes(const struct divf *d)
{
    return changes(d) - d->counters.maintenance.cycle_at;
}

void divf_cycle_begin(struct divf *d)
{
    d->counters.maintenance.cycle_at = changes(d);
    d->maintenance->cycling = true;
    d->maintenance->at = 0;
}

void divf_mark_due(struct divf *d)
{
    struct divf_maintainer *u = d->maintenance;
    u->splits_due = u->merges_due = true;
    u->checked_at = u->tick;
    for (size_t i = 0; i < u->n; i++)
        u->list[i].kept = false;
}

static size_t run_of(const uint32_t *to, size_t first, size_t n)
{
    size_t end = first;
    while (end < n && to[end] == to[first])
        end++;
    return end - first;
}

/* Adds the copies to their new lists, waits for the searches that may have read those before, and
   removes the old ones. */
static void make_moves(struct divf *d, size_t from, const uint32_t *slots, const uint32_t *to,
                       size_t n, uint32_t *was)
{
    struct divf_lists *lists = &d->lists;
    size_t i = 0;
    for (size_t run; i < n && to[i] != UINT32_MAX; i += run) {
        run = run_of(to, i, n);
        divf_list_move(lists, from, to[i], slots + i, run, was + i);
    }
    if (i > 0) {
        divf_grace(d);
        divf_list_bury(lists, from, was, i);
    }
    divf_list_drop(lists, from, slots + i, n - i);
}

int divf_refile(struct divf *d, size_t from, uint32_t *slots, uint32_t *to, size_t n)
{
    struct divf_lists *lists = &d->lists;
    struct mem_group g = { .mem = d->env.mem };
    uint64_t *moves = mem_group_array(&g, n, sizeof *moves); /* target << 32 | slot */
    uint32_t *was = mem_group_array(&g, n, sizeof *was);
    int rc = g.failed ? out_of_memory(d) : OK;
    if (!rc) {
        for (size_t i = 0; i < n; i++)
            moves[i] = (uint64_t)to[i] << 32 | slots[i];
        qsort(moves, n, sizeof *moves, order_u64);
        for (size_t i = 0; i < n; i++) {
            to[i] = (uint32_t)(moves[i] >> 32);
            slots[i] = (uint32_t)moves[i];
        }
        for (size_t i = 0, run; !rc && i < n && to[i] != UINT32_MAX; i += run) {
            run = run_of(to, i, n);
            rc = divf_list_reserve(lists, to[i], run);
        }
    }
    if (!rc) {
        make_moves(d, from, slots, to, n, was);
        d->counters.maintenance.moved += n;
        if (lists->list[from]->rows > lists->list[from]->live)
            divf_list_compact(d, from);
    }
    mem_group_free(&g);
    return rc;
}

int divf_maintenance_check(const struct divf *d)
{
    const struct divf_maintainer *u = d->maintenance;
    size_t pending = 0, quiet = 0, fresh = 0;
    if (!u || u->trainings != d->counters.trainings)
        return OK;
    if (u->n != d->lists.n && u->n > 0)
        return fail(d->env.error, ERR_INVARIANT, "divf: maintenance has state of %zu lists of %zu",
                    u->n, d->lists.n);
    for (size_t i = 0; i < u->n; i++) {
        const struct divf_list_state *l = &u->list[i];
        pending += l->pending;
        quiet += l->quiet && l->pending;
        fresh += l->fresh;
        if (l->moved > u->tick || l->compared > u->tick || (l->was && l->moved <= l->compared))
            return fail(d->env.error, ERR_INVARIANT,
                        "divf: list %zu was moved or reassigned in the future", i);
    }
    if (pending != u->n_pending || fresh != u->n_fresh || quiet != u->n_quiet)
        return fail(d->env.error, ERR_INVARIANT,
                    "divf: %zu lists are pending, %zu quiet, %zu fresh; counted %zu, %zu, %zu",
                    pending, quiet, fresh, u->n_pending, u->n_quiet, u->n_fresh);
    return OK;
}
