/* error.h - failure reports: a code for the caller and a sentence for a person.
 *
 * A function that can fail returns `int`: OK or one of the codes below. Before it returns a code
 * other than OK, it records a sentence with fail(). The sentence names the object, its place, the
 * bound and, where it helps, the remedy:
 *
 *     return fail(err, ERR_DUPLICATE_ID,
 *                 "insert: row %zu: id %" PRIu64 " is already stored", i, id);
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
    ERR_NOT_FINITE = 3,   /* NaN, infinity, or a row whose squared length f32 does not hold */
    ERR_ZERO_VECTOR = 4,  /* a zero vector under cosine */
    ERR_DUPLICATE_ID = 5, /* already stored, or twice in one batch */
    ERR_UNKNOWN_ID = 6,   /* not stored */
    ERR_UNTRAINED = 7,    /* needs train() first */
    ERR_UNSUPPORTED = 8,  /* a capability this method lacks */
    ERR_CONFIG = 9,       /* a Lua config, option or command line */
    /* the environment */
    ERR_IO = 20,        /* a system call failed; the sentence has errno's text */
    ERR_CORRUPT = 21,   /* a file is damaged, short or of the wrong shape */
    ERR_VERSION = 22,   /* a file or plugin of another version */
    ERR_NOT_FOUND = 23, /* a file, dataset, method or tag */
    ERR_FETCH = 24,     /* no source of a dataset worked */
    ERR_NO_MEMORY = 25,
    ERR_BASELINE = 26,    /* a baseline's library reported an error; the sentence quotes it */
    ERR_INTERRUPTED = 27, /* Ctrl-C */
    /* a bug in Driftline */
    ERR_INVARIANT = 40, /* check() found a broken invariant */
};

struct error {
    int code;        /* of the first failure since error_clear() */
    char text[1000]; /* its sentence, without a final newline */
};

/* Records code and sentence in err (NULL: nowhere) and returns code. The first failure stays: later
   failures, from clean-up or from other threads, do not overwrite it. Never allocates. */
int fail(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the recorded sentence, to name the place of the
   caller. Returns err->code. */
int fail_within(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Like fail(), but appends ": " and errno's text, with what to do if the disk is full. */
int fail_errno(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void error_clear(struct error *err);

/* Records all further failures of this thread in `to`, whatever err they are given; NULL ends this.
   For work that the caller did not request: maintenance of an index, in a thread or after an
   update. Returns the previous value. */
struct error *error_divert(struct error *to);

/* The name of a code, such as "ERR_IO", for logs and tests; "ERR_?" for an unknown code. */
const char *error_name(int code);

/* The one of n names that the user may have meant: the nearest by edit distance (a transposition
   counts one), at most a third of the longer name away; else the shortest that begins so; or NULL. */
const char *error_near(const char *given, const char *const *names, size_t n);

/* The result of error_near() as the end of a sentence: "; did you mean \"x\"?", or "". Used in
   place: error_hint(given, names, n).text. */
struct hint_text {
    char text[96];
};
struct hint_text error_hint(const char *given, const char *const *names, size_t n);

#ifdef __cplusplus
}
#endif
#endif
