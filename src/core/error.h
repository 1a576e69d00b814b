/* error.h - how every part of Driftline says what went wrong: a code for the caller, a sentence for
 * a person.
 *
 * A function that can fail returns `int`: OK or one of the codes below, having written the sentence
 * with fail(). The sentence names the thing, its place, the bound, and where it helps what to do:
 *
 *     return fail(err, ERR_DUPLICATE_ID, "insert: row %zu: id %" PRIu64 " is already stored", i,
 * id);
 */
#ifndef DRIFTLINE_ERROR_H
#define DRIFTLINE_ERROR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum error_code {
    OK = 0,
    /* the caller's arguments */
    ERR_ARGUMENT = 1,     /* out of range, wrong combination */
    ERR_DIMENSION = 2,    /* a dimension, element type or metric that does not fit */
    ERR_NOT_FINITE = 3,   /* NaN or infinity */
    ERR_ZERO_VECTOR = 4,  /* a zero vector under cosine */
    ERR_DUPLICATE_ID = 5, /* already stored, or twice in one batch */
    ERR_UNKNOWN_ID = 6,   /* not stored */
    ERR_UNTRAINED = 7,    /* needs train() first */
    ERR_UNSUPPORTED = 8,  /* a capability this method lacks */
    ERR_CONFIG = 9,       /* a Lua config, option or command line */
    /* the outside */
    ERR_IO = 20,        /* a system call failed; the sentence has errno's text */
    ERR_CORRUPT = 21,   /* a file is damaged, short or of the wrong shape */
    ERR_VERSION = 22,   /* a file or plugin of another version */
    ERR_NOT_FOUND = 23, /* a file, dataset, method or tag */
    ERR_FETCH = 24,     /* no source of a dataset worked */
    ERR_NO_MEMORY = 25,
    ERR_PEER = 26,        /* a peer library refused; the sentence has its words */
    ERR_INTERRUPTED = 27, /* Ctrl-C */
    /* ours */
    ERR_INVARIANT = 40, /* check() found a broken invariant */
};

struct error {
    int code;        /* of the first failure since error_clear() */
    char text[1000]; /* its sentence, no final newline */
};

/* Records code and sentence in err (NULL: nowhere) and returns code. The first failure stays: later
   ones, from clean-up or from other threads, do not overwrite it. Never allocates. */
int fail(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the recorded sentence, to say where the caller was; returns err->code. */
int fail_within(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Same as fail() with ": " and errno's text appended. */
int fail_errno(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void error_clear(struct error *err);

/* From now on all that this thread fails at is recorded in `to` instead, whatever err is given; NULL ends
   it. For work that is not the caller's own: upkeep of an index, in a thread or behind an update. Returns
   what was set before. */
struct error *error_divert(struct error *to);

/* "ERR_IO"-style name of a code, for logs and tests; "ERR_?" for an unknown one. */
const char *error_name(int code);

/* Which of n names a person may have meant: the nearest within a third of its length by edit
   distance (a transposition counts one), or NULL. For "did you mean" everywhere. */
const char *error_near(const char *given, const char *const *names, size_t n);

#ifdef __cplusplus
}
#endif
#endif
