/* crash_history.c - the states that an index may be found in. */
#include "tests/contract/crash_history.h"

#include <inttypes.h>
#include <string.h>

void crash_opened(struct crash_history *h, const crash_state found)
{
    memset(h->ops, 0, sizeof h->ops);
    h->n = 0;
    h->cut = false;
    memcpy(h->states[0], found, sizeof(crash_state));
}

struct crash_op *crash_begin_op(struct crash_history *h)
{
    if (h->n == CRASH_OPS)
        return NULL;
    memset(&h->ops[h->n], 0, sizeof h->ops[h->n]);
    return &h->ops[h->n];
}

void crash_end_op(struct crash_history *h, bool ok, size_t done)
{
    struct crash_op *op = &h->ops[h->n];

    memcpy(h->states[h->n + 1], h->states[h->n], sizeof(crash_state));
    for (size_t i = 0; i < done && i < op->n; i++)
        h->states[h->n + 1][op->ids[i]] = op->after[i];
    op->ok = ok;
    h->n++;
}

void crash_end_reload(struct crash_history *h, const crash_state found)
{
    struct crash_op *op = &h->ops[h->n];

    memcpy(h->states[h->n + 1], found, sizeof(crash_state));
    op->ok = true;
    h->n++;
}

/* The first state that may be found: that of the last operation known to survive. */
static size_t first_allowed(const struct crash_history *h, bool reload)
{
    for (size_t i = h->n; i-- > 0;) {
        const struct crash_op *op = &h->ops[i];
        const bool logged =
            h->durability == CRASH_SYNCED || (h->durability == CRASH_WRITTEN && reload);
        if (op->ok && (op->kind == CRASH_SAVE || (op->kind == CRASH_UPDATE && logged)))
            return i + 1;
    }
    return 0;
}

/* The state, or, where updates are logged, with the next operation's effect on some of its ids: on
   all of them or none if it is atomic. */
static bool is_state(const struct crash_history *h, size_t at, const crash_state found,
                     uint64_t *id)
{
    const bool logged = at < CRASH_OPS && h->durability != CRASH_SAVED;
    const struct crash_op *next = logged && h->ops[at].begun ? &h->ops[at] : NULL;
    crash_state expected;
    size_t there = 0;

    memcpy(expected, h->states[at], sizeof expected);
    for (size_t k = 0; next && k < next->n; k++)
        if (found[next->ids[k]] == next->after[k]) {
            expected[next->ids[k]] = next->after[k];
            there++;
        }
    if (next && next->atomic && there < next->n)
        memcpy(expected, h->states[at], sizeof expected);
    for (uint64_t i = 0; i < CRASH_IDS; i++)
        if (found[i] != expected[i]) {
            *id = i;
            return false;
        }
    return true;
}

bool crash_allows(const struct crash_history *h, const crash_state found, bool reload, uint64_t *id)
{
    /* A save that failed, or was not ended, may be there or not. */
    for (size_t at = first_allowed(h, reload); at <= h->n; at++) {
        const bool saved = h->durability != CRASH_SAVED || at == first_allowed(h, reload) ||
                           (at > 0 && h->ops[at - 1].kind == CRASH_SAVE) ||
                           (at == h->n && h->ops[at].begun && h->ops[at].kind == CRASH_SAVE);
        if (saved && is_state(h, at, found, id))
            return true;
    }
    return false;
}

bool crash_allows_none(const struct crash_history *h, bool reload)
{
    static const crash_state nothing;
    uint64_t id;

    return !h->existed && first_allowed(h, reload) == 0 &&
           memcmp(h->states[0], nothing, sizeof nothing) == 0 &&
           crash_allows(h, nothing, reload, &id);
}

void crash_print(const struct crash_history *h, uint64_t id, FILE *to)
{
    static const char *const kinds[] = { "update", "other", "save", "reload" };

    fprintf(to, "  opened: id %" PRIu64 " has generation %d\n", id, h->states[0][id]);
    for (size_t i = 0; i < h->n + (h->n < CRASH_OPS && h->ops[h->n].begun); i++) {
        const struct crash_op *op = &h->ops[i];
        bool named = false;
        for (size_t k = 0; k < op->n; k++)
            named = named || op->ids[k] == id;
        fprintf(to, "  %zu %s%s of %zu ids%s, %s: generation %d\n", i, op->atomic ? "atomic " : "",
                kinds[op->kind], op->n, named ? " with it" : "",
                i == h->n ? "not ended"
                : op->ok  ? "ok"
                          : "failed",
                h->states[i + (i < h->n)][id]);
    }
}
