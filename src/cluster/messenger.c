#include "src/cluster/messenger.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "src/cluster/internal.h"
#include "src/core/mem.h"

enum { POLL_US = 2000, TAG_BEAT = MESSAGE_KINDS };
static const double BEAT_S = 1, CLOSE_S = 15;

struct messenger {
    const struct mpi_library *mpi;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int rank, ranks;
    struct mpi_link **links;              /* to each rank */
    struct message *boxes[BOXES], *queue; /* lists, in order */
    uint64_t *heard_ns;                   /* of each rank */
    struct cluster_listening listening;
    bool *forgotten;
    bool started;
    uint64_t closing_ns;     /* 0: open */
    char why[MPI_WHY_BYTES]; /* MPI does not start, or "" */
};

void message_free(struct message *m)
{
    if (!m)
        return;
    mem_free(NULL, m->bytes);
    mem_free(NULL, m);
}

static struct message *message_new(int from, enum message_kind kind, size_t n)
{
    struct message *m = mem_zalloc(NULL, sizeof *m);
    unsigned char *bytes = mem_zalloc(NULL, n + 1);
    if (!m || !bytes) {
        mem_free(NULL, m);
        mem_free(NULL, bytes);
        return NULL;
    }
    *m = (struct message){ .from = from, .kind = kind, .n = n, .bytes = bytes };
    return m;
}

/* Puts it at the end of a list; the caller has the lock. */
static void append(struct message **list, struct message *message)
{
    while (*list)
        list = &(*list)->next;
    *list = message;
}

static void put_into_box(struct messenger *m, struct message *message)
{
    append(&m->boxes[message->kind < MESSAGE_LOAD ? BOX_DISPATCHER : BOX_WORKER], message);
    (void)pthread_cond_broadcast(&m->changed);
}

/* ------------------------------------------------------------------------------- the thread */

/* A message that cannot be received leaves its sender silent, which is noticed. */
static void receive(struct messenger *m, int from)
{
    int tag;
    size_t n;
    while (m->mpi->is_waiting(m->links[from], &tag, &n)) {
        char why[MPI_WHY_BYTES];
        const bool kept = tag >= 0 && tag < MESSAGE_KINDS;
        struct message *message = message_new(from, kept ? (enum message_kind)tag : 0, n);
        if (!message || m->mpi->take(m->links[from], tag, message->bytes, n, why)) {
            message_free(message);
            return;
        }
        (void)pthread_mutex_lock(&m->lock);
        m->heard_ns[from] = clock_ns();
        if (kept && !m->forgotten[from])
            put_into_box(m, message);
        else
            message_free(message);
        (void)pthread_mutex_unlock(&m->lock);
    }
}

/* Begins and ends what is in the queue; the caller has the lock. One message after another to
   each rank, so that they arrive in order. */
static void send_queue(struct messenger *m)
{
    char why[MPI_WHY_BYTES];
    for (struct message **at = &m->queue, *o = *at; o; o = *at) {
        const int to = o->from;
        bool done = m->forgotten[to];
        if (!done && !o->send)
            done = m->mpi->send(m->links[to], (int)o->kind, o->bytes, o->n, &o->send, why) != 0;
        if (!done && m->mpi->is_sent(o->send))
            done = true;
        if (!done) {
            at = &o->next;
            continue;
        }
        *at = o->next;
        /* MPI may still read what was on its way to a dead rank. */
        if (!m->forgotten[to] || !o->send)
            message_free(o);
    }
}

/* Lets the others hear of this rank. A beat on its way to a dead rank stays allocated. */
static void beat(struct messenger *m, struct mpi_send **beats)
{
    static const char nothing = 0;
    char why[MPI_WHY_BYTES];
    for (int to = 0; to < m->ranks; to++) {
        if (to == m->rank || (m->rank > 0 && to > 0) || m->forgotten[to])
            continue;
        if (beats[to] && !m->mpi->is_sent(beats[to]))
            continue;
        beats[to] = NULL;
        (void)m->mpi->send(m->links[to], TAG_BEAT, &nothing, 0, &beats[to], why);
    }
}

/* What a rank that has just died would have received does not hold the others up for ever. */
static bool is_over(const struct messenger *m)
{
    return m->closing_ns > 0 && (!m->queue || clock_seconds(clock_ns() - m->closing_ns) > CLOSE_S);
}

static bool start(struct messenger *m)
{
    const int rc = m->mpi->begin_world(&m->rank, &m->ranks, m->why);
    if (rc == 0) {
        m->heard_ns = mem_zalloc(NULL, (size_t)m->ranks * sizeof *m->heard_ns);
        m->forgotten = mem_zalloc(NULL, (size_t)m->ranks * sizeof *m->forgotten);
        m->links = mem_zalloc(NULL, (size_t)m->ranks * sizeof *m->links);
        if (!m->heard_ns || !m->forgotten || !m->links)
            (void)snprintf(m->why, sizeof m->why, "out of memory for %d ranks", m->ranks);
    }
    for (int i = 0; !*m->why && i < m->ranks; i++) {
        m->heard_ns[i] = clock_ns();
        (void)m->mpi->world(i, &m->links[i], m->why);
    }
    (void)pthread_mutex_lock(&m->lock);
    m->started = true;
    (void)pthread_cond_broadcast(&m->changed);
    (void)pthread_mutex_unlock(&m->lock);
    return !*m->why;
}

static void *exchange(void *of)
{
    struct messenger *m = of;
    uint64_t beat_ns = 0;
    bool over = !start(m);
    struct mpi_send **beats = over ? NULL : mem_zalloc(NULL, (size_t)m->ranks * sizeof *beats);
    while (!over) {
        for (int i = 0; i < m->ranks; i++)
            receive(m, i);
        (void)pthread_mutex_lock(&m->lock);
        cluster_polled(&m->listening, clock_ns());
        send_queue(m);
        if (beats && (beat_ns == 0 || clock_seconds(clock_ns() - beat_ns) > BEAT_S)) {
            beat(m, beats);
            beat_ns = clock_ns();
        }
        over = is_over(m);
        (void)pthread_mutex_unlock(&m->lock);
        (void)usleep(POLL_US);
    }
    if (m->heard_ns)
        m->mpi->end();
    mem_free(NULL, beats);
    return NULL;
}

/* ---------------------------------------------------------------------------- opening, closing */

int messenger_open(struct messenger **out, struct error *err)
{
    struct messenger *m = mem_zalloc(NULL, sizeof *m);
    *out = NULL;
    if (!m)
        return fail(err, ERR_NO_MEMORY, "--mpi: out of memory");
    m->mpi = cluster_load("--mpi", err);
    if (!m->mpi) {
        mem_free(NULL, m);
        return ERR_UNSUPPORTED;
    }
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_cond_init(&m->changed, NULL);
    if (pthread_create(&m->thread, NULL, exchange, m)) {
        mem_free(NULL, m);
        return fail_errno(err, ERR_IO, "--mpi: a thread cannot be started");
    }
    (void)pthread_mutex_lock(&m->lock);
    while (!m->started)
        (void)pthread_cond_wait(&m->changed, &m->lock);
    (void)pthread_mutex_unlock(&m->lock);
    if (*m->why) {
        fail(err, ERR_UNSUPPORTED, "--mpi: %s", m->why);
        messenger_close(m);
        return ERR_UNSUPPORTED;
    }
    *out = m;
    return OK;
}

/* MPI's library stays loaded: it leaves handlers behind. */
void messenger_close(struct messenger *m)
{
    if (!m)
        return;
    (void)pthread_mutex_lock(&m->lock);
    m->closing_ns = clock_ns();
    (void)pthread_mutex_unlock(&m->lock);
    (void)pthread_join(m->thread, NULL);
    for (int box = 0; box < BOXES; box++)
        for (struct message *at = m->boxes[box], *next; at; at = next) {
            next = at->next;
            message_free(at);
        }
    for (int i = 0; m->links && i < m->ranks; i++)
        m->mpi->unlink(m->links[i]);
    mem_free(NULL, m->links);
    mem_free(NULL, m->heard_ns);
    mem_free(NULL, m->forgotten);
    (void)pthread_cond_destroy(&m->changed);
    (void)pthread_mutex_destroy(&m->lock);
    mem_free(NULL, m);
}

int messenger_rank(const struct messenger *m)
{
    return m->rank;
}

int messenger_ranks(const struct messenger *m)
{
    return m->ranks;
}

/* ------------------------------------------------------------------------------- messages */

int messenger_send(struct messenger *m, int to, enum message_kind kind, const void *bytes, size_t n,
                   struct error *err)
{
    struct message *message = message_new(to, kind, n);
    if (!message)
        return fail(err, ERR_NO_MEMORY, "--mpi: out of memory for a message of %zu bytes", n);
    if (n > 0)
        memcpy(message->bytes, bytes, n);
    (void)pthread_mutex_lock(&m->lock);
    if (to == m->rank)
        put_into_box(m, message);
    else
        append(&m->queue, message);
    (void)pthread_mutex_unlock(&m->lock);
    return OK;
}

size_t messenger_queued(struct messenger *m, int to)
{
    size_t n = 0;
    (void)pthread_mutex_lock(&m->lock);
    for (const struct message *o = m->queue; o; o = o->next)
        n += o->from == to;
    (void)pthread_mutex_unlock(&m->lock);
    return n;
}

static struct timespec after(double seconds)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += (time_t)seconds;
    t.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

struct message *messenger_take(struct messenger *m, enum message_box box, double wait_s)
{
    const struct timespec until = after(wait_s);
    (void)pthread_mutex_lock(&m->lock);
    while (!m->boxes[box] && pthread_cond_timedwait(&m->changed, &m->lock, &until) == 0)
        continue;
    struct message *message = m->boxes[box];
    if (message) {
        m->boxes[box] = message->next;
        message->next = NULL;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return message;
}

bool messenger_hears(struct messenger *m, int rank)
{
    (void)pthread_mutex_lock(&m->lock);
    const bool heard =
        rank == m->rank || !cluster_is_silent(&m->listening, m->heard_ns[rank], clock_ns());
    (void)pthread_mutex_unlock(&m->lock);
    return heard;
}

void messenger_forget(struct messenger *m, int rank)
{
    (void)pthread_mutex_lock(&m->lock);
    m->forgotten[rank] = true;
    (void)pthread_mutex_unlock(&m->lock);
}
