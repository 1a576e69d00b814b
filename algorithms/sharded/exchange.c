/* exchange.c - requests to ranks and their replies. */
#include <inttypes.h>
#include <string.h>

#include "algorithms/sharded/sharded.h"
#include "src/core/mem.h"

/* While replies are missing, ranks are looked at this often. */
static const uint64_t LOOK_NS = 20000000;

void call_begin(struct sharded *s, struct call *c, size_t rank, enum request_kind kind,
                uint64_t shard)
{
    *c = (struct call){ .rank = rank,
                        .request = { .mem = s->base.env.mem },
                        .local = { .mem = s->base.env.mem } };
    wire_put(&c->request, 0); /* its number */
    wire_put(&c->request, kind);
    wire_put(&c->request, shard);
}

void call_end(struct call *c)
{
    wire_free(&c->request);
    wire_free(&c->local);
    mem_free(NULL, c->bytes);
    c->bytes = NULL;
}

static uint64_t now_ns(const struct sharded *s)
{
    return s->base.env.clock_ns ? s->base.env.clock_ns() : 0;
}

static void take_reply(struct call *c, const void *bytes, size_t n)
{
    c->reply = (struct wire_reader){ bytes, n, false };
    c->code = (int)wire_take(&c->reply);
    c->text = c->code == OK ? "" : wire_take_text(&c->reply);
    c->done = true;
}

void sharded_lose_rank(struct sharded *s, size_t rank)
{
    if (!s->is_up[rank])
        return;
    s->is_up[rank] = false;
    s->counters.lost++;
    for (size_t i = 0; i < s->n_shards; i++)
        for (size_t j = 0; j < sharded_replicas(s); j++)
            if (s->shards[i].replicas[j].rank == rank)
                s->shards[i].replicas[j].up = false;
}

static void lose(struct sharded *s, struct call *c)
{
    c->code = ERR_IO;
    c->text = "sharded: a rank is lost";
    c->lost = c->done = true;
    sharded_lose_rank(s, c->rank);
}

static void serve_here(struct sharded *s, struct call *c)
{
    server_execute(&s->local, c->request.bytes + sizeof c->number, c->request.n - sizeof c->number,
                   &c->local);
    if (!c->local.failed) {
        take_reply(c, c->local.bytes, c->local.n);
        return;
    }
    c->code = ERR_NO_MEMORY;
    c->text = "sharded: out of memory for a reply";
    c->done = true;
}

static void send_all(struct sharded *s, struct call *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct call *c = &calls[i];
        c->number = ++s->call;
        wire_set(&c->request, 0, c->number);
        if (c->rank == 0)
            continue;
        s->counters.requests++;
        s->counters.sent_bytes += c->request.n;
        struct error why = { 0 };
        if (s->is_up[c->rank] && !s->group->ops->is_lost(s->group, c->rank) &&
            s->group->ops->send(s->group, c->rank, c->request.bytes, c->request.n, &why) == OK)
            continue;
        lose(s, c);
    }
}

/* Replies of a rank come in the order of its requests, but a late one may be to an earlier exchange. */
static void take_message(struct sharded *s, struct call *calls, size_t n, struct rank_message *m)
{
    struct wire_reader r = { m->bytes, m->n, false };
    const uint64_t number = wire_take(&r);
    s->counters.received_bytes += m->n;
    for (size_t i = 0; i < n; i++) {
        struct call *c = &calls[i];
        if (c->done || c->rank != m->from || c->number != number)
            continue;
        c->bytes = m->bytes;
        take_reply(c, r.at, r.left);
        return;
    }
    s->counters.late++;
    mem_free(NULL, m->bytes);
}

static size_t missing(const struct call *calls, size_t n)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++)
        left += !calls[i].done;
    return left;
}

static void receive_all(struct sharded *s, struct call *calls, size_t n, uint64_t deadline_ns)
{
    while (missing(calls, n) > 0) {
        const uint64_t now = deadline_ns ? now_ns(s) : 0;
        struct rank_message m;
        uint64_t wait_ns = LOOK_NS;
        if (deadline_ns && now + wait_ns > deadline_ns)
            wait_ns = now < deadline_ns ? deadline_ns - now : 0;
        if (s->group->ops->receive(s->group, wait_ns, &m)) {
            take_message(s, calls, n, &m);
            continue;
        }
        for (size_t i = 0; i < n; i++)
            if (!calls[i].done && s->group->ops->is_lost(s->group, calls[i].rank))
                lose(s, &calls[i]);
        for (size_t i = 0; deadline_ns && now >= deadline_ns && i < n; i++) {
            struct call *c = &calls[i];
            if (c->done)
                continue;
            c->code = ERR_INTERRUPTED;
            c->text = "sharded: a rank did not answer in time";
            c->late = c->done = true;
        }
    }
}

int sharded_exchange(struct sharded *s, struct call *calls, size_t n, uint64_t deadline_ns)
{
    for (size_t i = 0; i < n; i++) {
        if (calls[i].request.failed)
            return sharded_no_memory(s, "a request");
        if (calls[i].rank > 0 && calls[i].request.n > RANK_MESSAGE_BYTES_MAX)
            return fail(s->base.env.error, ERR_ARGUMENT,
                        "sharded: a request of %zu bytes; use smaller batches", calls[i].request.n);
    }
    send_all(s, calls, n);
    for (size_t i = 0; i < n; i++)
        if (calls[i].rank == 0)
            serve_here(s, &calls[i]);
    receive_all(s, calls, n, deadline_ns);
    return OK;
}

int call_check(struct sharded *s, const struct call *c)
{
    const char *why = c->text ? c->text : "no reason";
    if (c->code == OK)
        return OK;
    return c->rank == 0 ? fail(s->base.env.error, c->code, "%s", why)
                        : fail(s->base.env.error, c->code, "rank %zu: %s", c->rank, why);
}

int sharded_ask(struct sharded *s, struct call *c)
{
    const int rc = sharded_exchange(s, c, 1, 0);
    return rc ? rc : call_check(s, c);
}

int sharded_ask_word(struct sharded *s, size_t rank, enum request_kind kind, size_t shard,
                     uint64_t *word)
{
    struct call call;
    call_begin(s, &call, rank, kind, shard);
    const int rc = sharded_ask(s, &call);
    if (word)
        *word = rc == OK ? wire_take(&call.reply) : 0;
    call_end(&call);
    return rc;
}

const struct replica *sharded_any_up(const struct sharded *s, size_t shard)
{
    for (size_t j = 0; j < sharded_replicas(s); j++)
        if (s->shards[shard].replicas[j].up)
            return &s->shards[shard].replicas[j];
    return NULL;
}

const struct replica *sharded_primary(struct sharded *s, size_t shard)
{
    const struct replica *primary = sharded_any_up(s, shard);
    if (!primary)
        fail(s->base.env.error, ERR_IO,
             "sharded: no rank with shard %zu is left; w:maintain starts lost ranks again", shard);
    return primary;
}
