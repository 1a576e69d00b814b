/* caprg.c - the graph's arrays; selection of a node's edges; adding and removing nodes; invariants; the
 * graph in a snapshot.
 *
 * The gate's order (caprg.h) uses the exact |x z| where the paper has UB(x, z), so fewer are kept.
 * Still every edge of the exact relative neighbourhood graph is, because y is hidden only if |x z|
 * <= |x y| and |y z| <= UB(y, z) < |x y|. (Of rows at equal distance, ordered by slot, one is
 * kept.)
 *
 * The degree limits the edges. A loose bound hides no row, and the nearest candidates alone would
 * take all places. A search in such a graph needs twice the beam. So the first places go to
 * candidates that no selected one hides by estimates, which err to both sides. The rest go to the
 * nearest others that pass the gate. The gate then costs a few bounds, not the square of the pool.
 *
 * Rows equal to x hide no row and are hidden by none; they get at most a quarter of the first
 * places.
 */
#include "algorithms/asteria/graph/internal.h"

#include <inttypes.h>

#include "algorithms/common/durable/store_file.h"
#include "src/core/key_heap.h"

/* Space for n candidates in addition to a node's own. */
static int fit_scratch(struct asteria_caprg *g, size_t n)
{
    const size_t need = n + (CAPRG_DETOURS_MOST + 1) * g->degree + CAPRG_DEFERRED_MOST + 1;

    if (!mem_grow(g->env.mem, &g->slots, &g->slots_capacity, need, sizeof *g->slots) ||
        !mem_grow(g->env.mem, &g->distances, &g->distances_capacity, need, sizeof *g->distances) ||
        !mem_grow(g->env.mem, &g->keys, &g->keys_capacity, need, sizeof *g->keys))
        return fail(g->env.error, ERR_NO_MEMORY, "asteria: graph: out of memory for %zu candidates",
                    need);
    return OK;
}

int asteria_caprg_create(struct asteria_caprg **out, const struct index_env *env, size_t degree,
                         const struct asteria_caprg_rows *rows)
{
    struct asteria_caprg *g = mem_zalloc(env->mem, sizeof *g);

    if (!g)
        return fail(env->error, ERR_NO_MEMORY, "asteria: graph: out of memory");
    g->env = *env;
    g->rows = *rows;
    g->degree = degree;
    g->free_deferred = CAPRG_NONE;
    const int rc = fit_scratch(g, 0);
    if (rc == OK)
        *out = g;
    else
        asteria_caprg_destroy(g);
    return rc;
}

void asteria_caprg_destroy(struct asteria_caprg *g)
{
    struct mem *mem;

    if (!g)
        return;
    mem = g->env.mem;
    mem_free(mem, g->links);
    mem_free(mem, g->states);
    mem_free(mem, g->first_deferred);
    mem_free(mem, g->deferred);
    mem_free(mem, g->slots);
    mem_free(mem, g->distances);
    mem_free(mem, g->keys);
    mem_free(mem, g);
}

/* Makes the lists of deferred back-links, empty ones, of slots below n_slots, which exist from then
   on. false: out of memory. */
static bool grow_lists(struct asteria_caprg *g, size_t n_slots)
{
    if (!mem_grow(g->env.mem, &g->first_deferred, &g->first_deferred_capacity, n_slots,
                  sizeof *g->first_deferred))
        return false;
    for (; g->n_slots < n_slots; g->n_slots++)
        g->first_deferred[g->n_slots] = CAPRG_NONE;
    return true;
}

int asteria_caprg_reserve(struct asteria_caprg *g, size_t n_slots)
{
    struct mem *mem = g->env.mem;
    const size_t had = g->n_slots;

    if (n_slots <= had)
        return OK;
    if (!mem_grow(mem, &g->links, &g->links_capacity, n_slots * g->degree, sizeof *g->links) ||
        !mem_grow(mem, &g->states, &g->states_capacity, n_slots, sizeof *g->states) ||
        !grow_lists(g, n_slots))
        return fail(g->env.error, ERR_NO_MEMORY, "asteria: graph of %zu slots: out of memory",
                    n_slots);
    memset(caprg_links(g, (uint32_t)had), 0xff, (n_slots - had) * g->degree * sizeof *g->links);
    memset(g->states + had, 0, n_slots - had);
    return OK;
}

static size_t count_links(const struct asteria_caprg *g, const uint32_t *links)
{
    size_t n = 0;

    while (n < g->degree && links[n] != CAPRG_NONE)
        n++;
    return n;
}

/* to: n keys (caprg_key()). */
static void set_edges(struct asteria_caprg *g, uint32_t x, const uint64_t *to, size_t n)
{
    uint32_t *links = caprg_links(g, x);

    for (size_t i = 0; i < g->degree; i++)
        links[i] = i < n ? (uint32_t)to[i] : CAPRG_NONE;
}

/* Adds a slot of the state to the counts, or takes it out. */
static void count_state(struct asteria_caprg_counts *counts, uint8_t state, bool in)
{
    const uint64_t one = in ? 1 : UINT64_MAX; /* -1 */

    counts->nodes += state & (CAPRG_NODE | CAPRG_QUEUED) ? one : 0;
    counts->queued += state & CAPRG_QUEUED ? one : 0;
    counts->removed_waiting += state & (CAPRG_REMOVED | CAPRG_LEAVING) ? one : 0;
    counts->leaving += state & CAPRG_LEAVING ? one : 0;
}

static void set_state(struct asteria_caprg *g, uint32_t x, uint8_t state)
{
    count_state(&g->counts, g->states[x], false);
    g->states[x] = state;
    count_state(&g->counts, state, true);
}

/* Memory is reserved. */
static void defer(struct asteria_caprg *g, uint32_t y, uint32_t x)
{
    uint32_t cell = g->free_deferred;

    if (cell == CAPRG_NONE)
        cell = (uint32_t)g->n_deferred++;
    else
        g->free_deferred = g->deferred[cell].next;
    g->deferred[cell] = (struct asteria_caprg_deferred){ x, g->first_deferred[y] };
    g->first_deferred[y] = cell;
    g->counts.deferred++;
}

static void clear_deferred(struct asteria_caprg *g, uint32_t y)
{
    while (g->first_deferred[y] != CAPRG_NONE) {
        const uint32_t cell = g->first_deferred[y];

        g->first_deferred[y] = g->deferred[cell].next;
        g->deferred[cell].next = g->free_deferred;
        g->free_deferred = cell;
        g->counts.deferred--;
    }
}

/* -------------------------------------------------------------------------------- selection */

/* Whether a kept candidate is nearer to y than `distance`, the estimate of |x y|. Both sides are
   estimates, so what the codes leave out is in both. */
static bool is_likely_hidden(const struct asteria_caprg *g, float distance, uint32_t y,
                             const uint64_t *kept, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (g->rows.between(g->rows.to, y, (uint32_t)kept[i]).estimate < distance)
            return true;
    return false;
}

size_t asteria_caprg_select(const struct asteria_caprg *g, uint32_t x, uint64_t *keys, size_t n,
                            size_t most, uint64_t *kept)
{
    const size_t end = n;
    /* The postponed ones are keys[postponed .. end), the nearest last. */
    size_t n_kept = 0, equal = 0, postponed = n;

    key_heap_make(keys, n);
    while (n > 0 && n_kept < most) {
        const uint64_t key = key_heap_pop(keys, &n);
        const uint32_t y = (uint32_t)key;
        const bool is_equal = caprg_key_distance(key) == 0;

        if (is_equal ? equal >= (most + 3) / 4
                     : is_likely_hidden(g, g->rows.between(g->rows.to, x, y).estimate, y, kept,
                                        n_kept)) {
            keys[--postponed] = key;
        } else {
            kept[n_kept++] = key;
            equal += is_equal;
        }
    }
    for (size_t i = end; i-- > postponed && n_kept < most;) {
        const uint64_t key = keys[i];
        const float distance = caprg_key_distance(key);
        size_t by = 0;

        while (by < n_kept &&
               !(kept[by] < key &&
                 g->rows.between(g->rows.to, (uint32_t)key, (uint32_t)kept[by]).upper < distance))
            by++;
        if (by == n_kept)
            kept[n_kept++] = key;
    }
    return n_kept;
}

static size_t put_if_new(const struct asteria_caprg *g, uint32_t x, uint32_t candidate, size_t n)
{
    if (candidate != x && candidate < g->n_slots && caprg_is_node(g, candidate) &&
        !caprg_has(g->slots, n, candidate))
        g->slots[n++] = candidate;
    return n;
}

static size_t gather(const struct asteria_caprg *g, uint32_t x, const uint32_t *more, size_t n_more)
{
    uint32_t detours[CAPRG_DETOURS_MOST + 1] = { x };
    size_t n = 0, n_detours = 1;

    for (size_t i = 0; i < n_more; i++)
        n = put_if_new(g, x, more[i], n);
    for (uint32_t cell = g->first_deferred[x]; cell != CAPRG_NONE; cell = g->deferred[cell].next)
        n = put_if_new(g, x, g->deferred[cell].x, n);
    for (size_t i = 0; i < n_detours; i++) {
        const uint32_t *links = caprg_links(g, detours[i]);

        for (size_t j = 0; j < g->degree && links[j] != CAPRG_NONE; j++)
            if (!caprg_is_dead(g, links[j]))
                n = put_if_new(g, x, links[j], n);
            else if (n_detours <= CAPRG_DETOURS_MOST && !caprg_has(detours, n_detours, links[j]))
                detours[n_detours++] = links[j];
    }
    return n;
}

/* Of the n candidates gathered, those that become x's edges. */
static int choose(struct asteria_caprg *g, uint32_t x, size_t n, uint64_t kept[CAPRG_DEGREE_MAX],
                  size_t *n_kept)
{
    const int rc = n > 0 ? g->rows.exact(g->rows.to, x, g->slots, n, g->distances) : OK;

    if (rc != OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        g->keys[i] = caprg_key(g->distances[i], g->slots[i]);
    *n_kept = asteria_caprg_select(g, x, g->keys, n, g->degree, kept);
    return OK;
}

/* Uses estimates only: many nodes may have an edge to a removed one, and their rows may
   be on disk. */
static size_t mend(struct asteria_caprg *g, uint32_t x, size_t n, uint64_t kept[CAPRG_DEGREE_MAX])
{
    const uint32_t *links = caprg_links(g, x);
    size_t n_kept = 0, n_new = 0, postponed;

    for (size_t i = 0; i < g->degree && links[i] != CAPRG_NONE; i++)
        if (!caprg_is_dead(g, links[i]))
            kept[n_kept++] = links[i];
    for (size_t i = 0; i < n; i++)
        if (!caprg_has(links, g->degree, g->slots[i]))
            g->keys[n_new++] =
                caprg_key(g->rows.between(g->rows.to, x, g->slots[i]).estimate, g->slots[i]);
    postponed = n = n_new;
    key_heap_make(g->keys, n);
    while (n > 0 && n_kept < g->degree) {
        const uint64_t key = key_heap_pop(g->keys, &n);

        if (is_likely_hidden(g, caprg_key_distance(key), (uint32_t)key, kept, n_kept))
            g->keys[--postponed] = key;
        else
            kept[n_kept++] = key;
    }
    for (size_t i = n_new; i-- > postponed && n_kept < g->degree * 3 / 4;)
        kept[n_kept++] = g->keys[i];
    return n_kept;
}

/* Chooses x's edges again, with its deferred back-links and n more slots among the candidates. */
static int prune(struct asteria_caprg *g, uint32_t x, const uint32_t *more, size_t n,
                 uint64_t *spent)
{
    const size_t candidates = gather(g, x, more, n);
    uint64_t to[CAPRG_DEGREE_MAX];
    size_t n_to;
    const int rc = choose(g, x, candidates, to, &n_to);

    if (rc != OK)
        return rc;
    set_edges(g, x, to, n_to);
    clear_deferred(g, x);
    *spent += candidates;
    return OK;
}

/* ----------------------------------------------------------------------------------- adding */

/* x has an edge to y: offers y one to x. Memory for a deferred one is reserved. */
static int link_back(struct asteria_caprg *g, uint32_t x, uint32_t y)
{
    uint32_t *links = caprg_links(g, y);
    uint64_t spent = 0;
    size_t n_deferred = 0;

    if (caprg_has(links, g->degree, x))
        return OK;
    for (uint32_t cell = g->first_deferred[y]; cell != CAPRG_NONE; cell = g->deferred[cell].next) {
        if (g->deferred[cell].x == x)
            return OK;
        n_deferred++;
    }
    if (links[g->degree - 1] == CAPRG_NONE) {
        links[count_links(g, links)] = x;
        return OK;
    }
    if (n_deferred + 1 < CAPRG_DEFERRED_MOST) {
        defer(g, y, x);
        return OK;
    }
    return prune(g, y, &x, 1, &spent);
}

int asteria_caprg_add(struct asteria_caprg *g, uint32_t x, const uint32_t *pool, size_t n)
{
    uint64_t to[CAPRG_DEGREE_MAX];
    size_t n_to = 0;
    int rc = fit_scratch(g, n);

    if (rc == OK && !mem_grow(g->env.mem, &g->deferred, &g->deferred_capacity,
                              g->n_deferred + g->degree, sizeof *g->deferred))
        rc = fail(g->env.error, ERR_NO_MEMORY,
                  "asteria: graph: linking slot %" PRIu32 ": out of memory", x);
    if (rc == OK)
        rc = choose(g, x, gather(g, x, pool, n), to, &n_to);
    if (rc == OK && !caprg_is_node(g, x))
        asteria_caprg_queue(g, x);
    for (size_t i = 0; rc == OK && i < n_to; i++)
        rc = link_back(g, x, (uint32_t)to[i]);
    if (rc != OK)
        return rc;
    clear_deferred(g, x);
    set_state(g, x, CAPRG_NODE);
    set_edges(g, x, to, n_to);
    return OK;
}

void asteria_caprg_queue(struct asteria_caprg *g, uint32_t x)
{
    set_state(g, x, CAPRG_QUEUED);
    g->queued_from = x < g->queued_from ? x : g->queued_from;
}

uint32_t asteria_caprg_pending(struct asteria_caprg *g)
{
    if (g->counts.queued == 0)
        return CAPRG_NONE;
    while (!(g->states[g->queued_from] & CAPRG_QUEUED))
        g->queued_from++;
    return (uint32_t)g->queued_from;
}

uint64_t asteria_caprg_bytes(const struct asteria_caprg *g)
{
    return sizeof *g + g->links_capacity * sizeof *g->links + g->states_capacity +
           g->first_deferred_capacity * sizeof *g->first_deferred +
           g->deferred_capacity * sizeof *g->deferred + g->slots_capacity * sizeof *g->slots +
           g->distances_capacity * sizeof *g->distances + g->keys_capacity * sizeof *g->keys;
}

struct asteria_caprg_counts asteria_caprg_count(const struct asteria_caprg *g)
{
    struct asteria_caprg_counts counts = g->counts;

    for (uint32_t x = 0; x < g->n_slots; x++)
        counts.edges += count_links(g, caprg_links(g, x));
    return counts;
}

enum asteria_caprg_standing asteria_caprg_standing(const struct asteria_caprg *g, uint32_t x)
{
    if (x >= g->n_slots || !g->states[x])
        return CAPRG_UNKNOWN;
    return caprg_is_node(g, x) ? CAPRG_ALIVE : CAPRG_DEAD;
}

/* --------------------------------------------------------------------------------- removing */

/* The sweep's visits of this many nodes count as one distance in the budget. */
enum { VISITS_PER_DISTANCE = 8 };

void asteria_caprg_remove(struct asteria_caprg *g, uint32_t x)
{
    clear_deferred(g, x);
    set_state(g, x, CAPRG_REMOVED);
}

static bool sweep_is_due(const struct asteria_caprg *g, size_t share)
{
    const uint64_t waiting = g->counts.removed_waiting;

    return g->counts.leaving > 0 || (waiting > 0 && waiting * share >= g->counts.nodes);
}

static bool leads_to_leaving(const struct asteria_caprg *g, uint32_t x)
{
    const uint32_t *links = caprg_links(g, x);
    unsigned states = 0;

    for (size_t i = 0; i < g->degree && links[i] != CAPRG_NONE; i++)
        states |= g->states[links[i]];
    return states & CAPRG_LEAVING;
}

/* Takes x's edges to leaving nodes away; a node gets the neighbours of these instead. */
static void replace_leaving(struct asteria_caprg *g, uint32_t x, uint64_t *spent)
{
    const uint32_t *links = caprg_links(g, x);
    uint64_t to[CAPRG_DEGREE_MAX];
    size_t n = 0;

    if (caprg_is_node(g, x)) {
        const size_t candidates = gather(g, x, NULL, 0);

        n = mend(g, x, candidates, to);
        *spent += candidates;
    } else {
        for (size_t i = 0; i < g->degree && links[i] != CAPRG_NONE; i++)
            if (!(g->states[links[i]] & CAPRG_LEAVING))
                to[n++] = links[i];
    }
    set_edges(g, x, to, n);
}

static void sweep(struct asteria_caprg *g, uint64_t budget, uint64_t *spent)
{
    for (; g->cursor < g->n_slots && (budget == 0 || *spent < budget); g->cursor++) {
        const uint32_t x = (uint32_t)g->cursor;

        *spent += g->cursor % VISITS_PER_DISTANCE == 0;
        if (g->states[x] && !(g->states[x] & CAPRG_LEAVING) && leads_to_leaving(g, x))
            replace_leaving(g, x, spent);
    }
}

static void release_leaving(struct asteria_caprg *g)
{
    for (uint32_t x = 0; x < g->n_slots; x++)
        if (g->states[x] & CAPRG_LEAVING)
            set_edges(g, x, NULL, 0);
    for (uint32_t x = 0; x < g->n_slots; x++)
        if (g->states[x] & CAPRG_LEAVING) {
            set_state(g, x, 0);
            g->rows.gone(g->rows.to, x);
        }
}

bool asteria_caprg_sweep(struct asteria_caprg *g, size_t share, uint64_t budget, uint64_t *spent)
{
    while (sweep_is_due(g, share)) {
        if (g->counts.leaving == 0) {
            for (uint32_t x = 0; x < g->n_slots; x++)
                if (g->states[x] & CAPRG_REMOVED)
                    set_state(g, x, CAPRG_LEAVING);
            g->cursor = 0;
        }
        sweep(g, budget, spent);
        if (g->cursor < g->n_slots)
            return true;
        release_leaving(g);
    }
    return false;
}

int asteria_caprg_forget(struct asteria_caprg *g, uint64_t budget, bool *more)
{
    uint64_t spent = 0;
    int rc = OK;

    *more = asteria_caprg_sweep(g, CAPRG_SWEEP_SHARE, budget, &spent);
    for (uint32_t x = 0; x < g->n_slots && g->counts.deferred > 0; x++) {
        if (rc != OK || (budget > 0 && spent >= budget))
            break;
        if (g->first_deferred[x] != CAPRG_NONE)
            rc = prune(g, x, NULL, 0, &spent);
    }
    *more |= g->counts.deferred > 0;
    return rc;
}

/* ---------------------------------------------------------------------------------- invariants */

static int wrong(struct error *error, uint32_t x, const char *what, uint64_t of)
{
    return fail(error, ERR_INVARIANT, "asteria: graph: slot %" PRIu32 ": %s (%" PRIu64 ")", x, what,
                of);
}

static int check_edges(const struct asteria_caprg *g, uint32_t x, struct error *error)
{
    const uint32_t *links = caprg_links(g, x);
    const size_t n = count_links(g, links);

    for (size_t i = 0; i < g->degree; i++) {
        if (i >= n && links[i] != CAPRG_NONE)
            return wrong(error, x, "an edge after the list's end", links[i]);
        if (i >= n)
            continue;
        if (links[i] >= g->n_slots || !g->states[links[i]])
            return wrong(error, x, "an edge to a slot without a node", links[i]);
        if (links[i] == x)
            return wrong(error, x, "an edge to itself", i);
        if (caprg_has(links, i, links[i]))
            return wrong(error, x, "an edge twice", links[i]);
        if ((g->states[links[i]] & CAPRG_LEAVING) && x < g->cursor &&
            !(g->states[x] & CAPRG_LEAVING))
            return wrong(error, x, "an edge that the sweep was to take away", links[i]);
    }
    return OK;
}

static int check_state(const struct asteria_caprg *g, uint32_t x, struct error *error)
{
    const uint8_t state = g->states[x];

    if (state & (state - 1) || state > CAPRG_LEAVING)
        return wrong(error, x, "a state there is not", state);
    if (!state && caprg_links(g, x)[0] != CAPRG_NONE)
        return wrong(error, x, "edges of a slot without a node", caprg_links(g, x)[0]);
    if (g->first_deferred[x] != CAPRG_NONE && !caprg_is_node(g, x))
        return wrong(error, x, "deferred back-links of a slot that is no node", state);
    if (state == CAPRG_QUEUED && x < g->queued_from)
        return wrong(error, x, "queued before the queue's begin", g->queued_from);
    return OK;
}

static int check_deferred(const struct asteria_caprg *g, uint32_t x, struct error *error,
                          uint64_t *deferred)
{
    size_t n = 0;

    for (uint32_t cell = g->first_deferred[x]; cell != CAPRG_NONE; cell = g->deferred[cell].next) {
        if (cell >= g->n_deferred || g->deferred[cell].x >= g->n_slots || g->deferred[cell].x == x)
            return wrong(error, x, "a deferred back-link out of range", cell);
        if (++n >= CAPRG_DEFERRED_MOST)
            return wrong(error, x, "more deferred back-links than a node may have", n);
    }
    *deferred += n;
    return OK;
}

int asteria_caprg_check(const struct asteria_caprg *g, struct error *error)
{
    struct asteria_caprg_counts seen = { 0 };
    int rc = OK;

    for (uint32_t x = 0; x < g->n_slots && rc == OK; x++) {
        rc = check_state(g, x, error);
        rc = rc == OK ? check_edges(g, x, error) : rc;
        rc = rc == OK ? check_deferred(g, x, error, &seen.deferred) : rc;
        count_state(&seen, g->states[x], true);
    }
    if (rc != OK)
        return rc;
    if (seen.nodes != g->counts.nodes || seen.queued != g->counts.queued)
        return wrong(error, 0, "nodes or queued ones are not as many as counted", seen.nodes);
    if (seen.deferred != g->counts.deferred)
        return wrong(error, 0, "deferred back-links are not as many as counted", seen.deferred);
    if (seen.removed_waiting != g->counts.removed_waiting || seen.leaving != g->counts.leaving)
        return wrong(error, 0, "removed ones are not as many as counted", seen.removed_waiting);
    return OK;
}

/* ----------------------------------------------------------------------------------- snapshots */

/* "caprg.debts" has pairs of a node and a deferred back-link. */
struct head {
    uint64_t degree, n_slots, removed, cursor, deferred;
};

static bool is_possible(const struct head *h)
{
    return h->n_slots <= INT32_MAX && h->cursor <= h->n_slots &&
           h->deferred <= h->n_slots * CAPRG_DEFERRED_MOST;
}

/* deferred: set by reading; everything else is read into the graph. */
static int fields(struct store_fields *f, struct asteria_caprg *g, struct head *h,
                  const uint32_t **deferred)
{
    if (store_copy(f, "caprg.head", h, 1, sizeof *h) != OK)
        return f->code;
    if (f->r && (h->degree != g->degree || !is_possible(h)))
        return f->code = store_corrupt(f->r, "a graph of another degree, or its head out of range");
    store_array(f, "caprg.links", &g->links, &g->links_capacity, h->n_slots * g->degree,
                sizeof *g->links);
    store_array(f, "caprg.states", &g->states, &g->states_capacity, h->n_slots, 1);
    if (store_pieces(f, "caprg.debts", deferred, h->deferred, 2 * sizeof **deferred))
        for (uint32_t y = 0; y < h->n_slots; y++)
            for (uint32_t cell = g->first_deferred[y]; cell != CAPRG_NONE;
                 cell = g->deferred[cell].next)
                store_write(f->w, (const uint32_t[]){ y, g->deferred[cell].x },
                            2 * sizeof **deferred);
    return f->code;
}

void asteria_caprg_write(const struct asteria_caprg *g, struct store_writer *w)
{
    struct head head = { .degree = g->degree,
                         .n_slots = g->n_slots,
                         .removed = g->counts.removed_waiting,
                         .cursor = g->cursor,
                         .deferred = g->counts.deferred };
    const uint32_t *deferred = NULL;

    (void)fields(&(struct store_fields){ .w = w }, (struct asteria_caprg *)(uintptr_t)g, &head,
                 &deferred);
}

/* Counts are computed from states; asteria_caprg_check() then checks all else against
   them. false: a deferred back-link is out of range. */
static bool fill(struct asteria_caprg *g, const struct head *h, const uint32_t *deferred)
{
    g->cursor = h->cursor;
    for (uint32_t x = 0; x < g->n_slots; x++)
        count_state(&g->counts, g->states[x], true);
    g->counts.removed_waiting = h->removed;
    for (size_t i = h->deferred; i-- > 0;) { /* backwards, because each is put first in its list */
        const uint32_t y = deferred[2 * i], x = deferred[2 * i + 1];

        if (y >= g->n_slots || x >= g->n_slots)
            return false;
        defer(g, y, x);
    }
    return true;
}

int asteria_caprg_read(struct asteria_caprg *g, const struct store_reader *r)
{
    struct mem *mem = g->env.mem;
    struct error found = { 0 };
    struct head head;
    const uint32_t *deferred = NULL;
    const int rc = fields(&(struct store_fields){ .r = r, .mem = mem }, g, &head, &deferred);

    if (rc != OK)
        return rc;
    if (!grow_lists(g, head.n_slots) ||
        !mem_grow(mem, &g->deferred, &g->deferred_capacity, head.deferred, sizeof *g->deferred))
        return fail(g->env.error, ERR_NO_MEMORY, "%s: a graph of %llu slots: out of memory",
                    r->path, (unsigned long long)head.n_slots);
    if (!fill(g, &head, deferred) || asteria_caprg_check(g, &found) != OK)
        return store_corrupt(r, found.code ? found.text : "a graph is inconsistent");
    return OK;
}
