/* pieces.c - see internal.h. */
#include "src/cli/run/internal.h"

#include <string.h>
#include <sys/random.h>

#include "src/core/mem.h"
#include "src/core/rng.h"
#include "src/truth/apart.h"

/* A rank hears nothing else while a message arrives, and is taken for dead after 15 seconds: a slow
   network must be faster than a piece in that time. */
enum { PIECE_BYTES = 1 << 20 };

/* A message: this, then words of the block. */
struct head {
    uint64_t mask, bytes, at; /* bytes: of the whole block */
};

static void copy_masked(unsigned char *to, const unsigned char *from, size_t n, uint64_t mask)
{
    struct rng r = rng_at(mask, 0);
    uint64_t word;

    for (size_t i = 0; i + sizeof word <= n; i += sizeof word) {
        memcpy(&word, from + i, sizeof word);
        word ^= rng_u64(&r);
        memcpy(to + i, &word, sizeof word);
    }
}

int run_send_piece(struct messenger *m, int to, enum message_kind kind, const struct oracle *o,
                   size_t *at, struct error *err)
{
    const size_t left = o->mapped_bytes - *at, n = left < PIECE_BYTES ? left : PIECE_BYTES;
    struct head head = { .bytes = o->mapped_bytes, .at = *at };
    unsigned char *bytes = mem_alloc(NULL, sizeof head + n);

    if (!bytes || getrandom(&head.mask, sizeof head.mask, 0) != (ssize_t)sizeof head.mask) {
        mem_free(NULL, bytes);
        return fail(err, ERR_NO_MEMORY, "--mpi: out of memory for a message of %zu bytes", n);
    }
    memcpy(bytes, &head, sizeof head);
    copy_masked(bytes + sizeof head, (const unsigned char *)o->mapped + *at, n, head.mask);
    const int rc = messenger_send(m, to, kind, bytes, sizeof head + n, err);
    mem_free(NULL, bytes);
    *at += n;
    return rc;
}

int run_take_piece(struct run_pieces *p, const struct op_list *list, const struct message *m,
                   bool *whole, struct error *err)
{
    struct head head = { 0 };
    const size_t n = m->n > sizeof head ? m->n - sizeof head : 0;
    int rc = OK;

    *whole = false;
    if (n > 0)
        memcpy(&head, m->bytes, sizeof head);
    if (n > 0 && head.at == 0) {
        oracle_free(&p->oracle);
        p->got = 0;
        rc = oracle_make_block(&p->oracle, (size_t)head.bytes, err);
    }
    if (rc)
        return rc;
    if (n == 0 || n % 8 || head.bytes != p->oracle.mapped_bytes || head.at != p->got ||
        n > head.bytes - head.at)
        return fail(err, ERR_CORRUPT,
                    "--mpi: rank %d sent a piece of a ground truth that is not the next one",
                    m->from);
    copy_masked((unsigned char *)p->oracle.mapped + p->got, m->bytes + sizeof head, n, head.mask);
    p->got += n;
    *whole = p->got == p->oracle.mapped_bytes;
    return *whole ? oracle_read_block(&p->oracle, list, err) : OK;
}
