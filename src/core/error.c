/* error.c - records the first failure and finds the nearest name to a misspelt one. */
#include "src/core/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "src/core/append_text.h"

static _Thread_local struct error *diverted;

struct error *error_divert(struct error *to)
{
    struct error *before = diverted;

    diverted = to;
    return before;
}

/* Writes the sentence if this is the first failure, and returns where; else NULL. If several threads fail
   at once, the one that changes `code` from OK writes the text, which is read only after the threads
   have joined. */
static struct error *record(struct error *err, int code, const char *format, va_list args)
{
    int free_code = OK;
    assert(code != OK);
    err = diverted ? diverted : err;
    if (!err || !__atomic_compare_exchange_n(&err->code, &free_code, code, false, __ATOMIC_ACQ_REL,
                                             __ATOMIC_ACQUIRE))
        return NULL;
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    return err;
}

int fail(struct error *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)record(err, code, format, args);
    va_end(args);
    return code;
}

int fail_errno(struct error *err, int code, const char *format, ...)
{
    const int cause = errno;
    char words[128];
    va_list args;
    va_start(args, format);
    struct error *written = record(err, code, format, args);
    va_end(args);
    if (!written)
        return code;
    /* strerror() may share a buffer between threads; strerror_r() does not. */
    if (strerror_r(cause, words, sizeof words) != 0)
        (void)snprintf(words, sizeof words, "errno %d", cause);
    append_text(written->text, sizeof written->text, ": ", "%s%s", words,
                cause == ENOSPC || cause == EDQUOT ? " (the disk is full: free some space)" : "");
    return code;
}

/* If the text is too long, its end is cut: the prefix matters more than the end. */
int fail_within(struct error *err, const char *format, ...)
{
    char old[sizeof err->text];
    va_list args;
    err = diverted ? diverted : err;
    memcpy(old, err->text, sizeof old);
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (*old)
        append_text(err->text, sizeof err->text, ": ", "%s", old);
    return err->code;
}

void error_clear(struct error *err)
{
    if (!err)
        return;
    __atomic_store_n(&err->code, OK, __ATOMIC_RELEASE);
    err->text[0] = '\0';
}

const char *error_name(int code)
{
#define NAMED(code) [code] = #code
    static const char *const names[] = {
        NAMED(OK),
        NAMED(ERR_ARGUMENT),
        NAMED(ERR_DIMENSION),
        NAMED(ERR_NOT_FINITE),
        NAMED(ERR_ZERO_VECTOR),
        NAMED(ERR_DUPLICATE_ID),
        NAMED(ERR_UNKNOWN_ID),
        NAMED(ERR_UNTRAINED),
        NAMED(ERR_UNSUPPORTED),
        NAMED(ERR_CONFIG),
        NAMED(ERR_IO),
        NAMED(ERR_CORRUPT),
        NAMED(ERR_VERSION),
        NAMED(ERR_NOT_FOUND),
        NAMED(ERR_FETCH),
        NAMED(ERR_NO_MEMORY),
        NAMED(ERR_BASELINE),
        NAMED(ERR_INTERRUPTED),
        NAMED(ERR_INVARIANT),
    };
#undef NAMED
    const bool known = code >= 0 && code < (int)(sizeof names / sizeof *names) && names[code];
    return known ? names[code] : "ERR_?";
}

#define NEAR_MAX 63

/* Computes the optimal string alignment distance, in which "nporbe" is one step from "nprobe". Each
   name has at most NEAR_MAX characters. */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t row[3][NEAR_MAX + 1];
    for (size_t j = 0; j <= nb; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            const size_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
            const size_t drop = last[j] + 1, add = now[j - 1] + 1;
            size_t best = change < drop ? change : drop;
            best = best < add ? best : add;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[na % 3][nb];
}

/* The shortest name that begins with `given`, of at least 3 letters; NULL: there is none. */
static const char *begun_by(const char *given, const char *const *names, size_t n)
{
    const size_t length = strlen(given);
    const char *shortest = NULL;
    for (size_t i = 0; length >= 3 && i < n; i++)
        if (strncmp(names[i], given, length) == 0 &&
            (!shortest || strlen(names[i]) < strlen(shortest)))
            shortest = names[i];
    return shortest;
}

const char *error_near(const char *given, const char *const *names, size_t n)
{
    const size_t length = strlen(given);
    if (length == 0 || length > NEAR_MAX)
        return NULL;
    const char *nearest = NULL;
    /* The distance allowed is a third of the longer name, and 1 for names shorter than 3. */
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        const size_t other = strlen(names[i]);
        if (other == 0 || other > NEAR_MAX)
            continue;
        const size_t longer = length > other ? length : other;
        const size_t distance = edit_distance(given, length, names[i], other);
        const size_t allowed = longer < 3 ? 1 : longer / 3;
        if (distance <= allowed && distance < longer && distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest ? nearest : begun_by(given, names, n);
}

struct hint_text error_hint(const char *given, const char *const *names, size_t n)
{
    struct hint_text hint = { "" };
    const char *near = error_near(given, names, n);
    if (near)
        (void)snprintf(hint.text, sizeof hint.text, "; did you mean \"%s\"?", near);
    return hint;
}
