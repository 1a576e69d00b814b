/* download.c - downloads by http, https and ftp with curl, which handles proxies,
 * certificates and resuming. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/process.h"
#include "src/data/fetch/origins.h"

/* Exit statuses of curl: the server cannot resume; an http error with --fail, such as 416 for a
   range past the end. */
enum { CURL_CANNOT_RESUME = 33, CURL_HTTP_ERROR = 22 };

static size_t size_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) ? 0 : (size_t)st.st_size;
}

struct download_watch {
    const struct delivery *d;
    const char *path; /* the file that the program writes, or NULL */
    size_t limit;
    bool passed; /* the file is longer than limit */
};

static int watch_tick(void *context)
{
    struct download_watch *w = context;
    const struct data_progress *progress = &w->d->env->progress;
    const size_t bytes = w->path ? size_of(w->path) : 0;
    w->passed = bytes > w->limit;
    if (w->passed || !progress->step)
        return w->passed;
    return progress->step(progress->context, w->d->what, bytes, w->path ? w->d->part->bytes : 0);
}

int download_run(const struct delivery *d, struct process *p, const char *grows, size_t limit,
                 struct error *err)
{
    struct download_watch w = { d, grows, limit, false };
    struct error why = { 0 };
    p->tick = watch_tick;
    p->context = &w;
    if (!p->directory)
        p->directory = d->folder;
    int rc = process_run(p, &why);
    w.passed |= !rc && grows && size_of(grows) > limit;
    if (w.passed) {
        unlink(grows);
        return fail(
            err, ERR_FETCH,
            "the download is longer than the %zu bytes expected; it was stopped and removed",
            limit);
    }
    return rc ? fail(err, rc, "%s", why.text) : OK;
}

size_t download_limit(const struct delivery *d, bool archive)
{
    size_t guess = (size_t)1 << 30;
    if (d->part->bytes && !archive)
        return d->part->bytes;
    for (size_t i = 0; i < d->entry->n_parts; i++) {
        const struct dataset_part *p = &d->entry->parts[i];
        const bool base = !strcmp(p->part, "base");
        guess += (p->rows || !base ? p->rows : d->entry->rows) * p->dim * sizeof(double);
    }
    return guess;
}

/* The protocols allowed for the address and its redirections. http may be redirected to https,
   never the reverse. */
static const char *protocols_of(const char *address)
{
    if (!strncasecmp(address, "https:", 6))
        return "=https";
    return !strncasecmp(address, "http:", 5) ? "=http,https" : "=ftp";
}

static int run_curl(const struct delivery *d, const struct dataset_origin *o, const char *to,
                    const char *option, const char *value, struct process *p, struct error *err)
{
    const size_t limit = download_limit(d, o->member != NULL);
    const char *protocols = protocols_of(o->address);
    char most[32];
    snprintf(most, sizeof most, "%zu", limit);
    const char *argv[] = { "curl",
                           "-fsSL",
                           "--proto",
                           protocols,
                           "--proto-redir",
                           protocols,
                           "--connect-timeout",
                           "5",
                           "--speed-limit",
                           "100",
                           "--speed-time",
                           "60",
                           "--retry",
                           "2",
                           "--max-filesize",
                           most,
                           "--output",
                           to,
                           "--url",
                           o->address,
                           option,
                           value,
                           NULL };
    *p = (struct process){ .argv = argv };
    int rc = download_run(d, p, to, limit, err);
    if (rc == ERR_NOT_FOUND) {
        error_clear(err);
        return fail(err, ERR_FETCH, "curl is not installed (apt-get install curl)");
    }
    return rc;
}

static int said_by_curl(const struct process *p, struct error *err)
{
    if (!p->status)
        return OK;
    return fail(err, ERR_FETCH, "%.200s", p->output[0] ? process_last_line(p) : "curl failed");
}

static int download_whole(const struct delivery *d, const struct dataset_origin *o,
                          const char *partial, struct error *err)
{
    const size_t had = size_of(partial);
    struct process p;
    int rc = run_curl(d, o, partial, had ? "--continue-at" : NULL, "-", &p, err);
    /* Starts again if the server cannot resume, or if curl reports success without new bytes: the
       partial file is then as long as the file or longer. */
    const bool refused = p.status == CURL_CANNOT_RESUME || p.status == CURL_HTTP_ERROR;
    if (!rc && had && (refused || (!p.status && size_of(partial) == had))) {
        unlink(partial);
        rc = run_curl(d, o, partial, NULL, NULL, &p, err);
    }
    return rc ? rc : said_by_curl(&p, err);
}

static int append(const char *to, const char *from, struct error *err)
{
    char bytes[65536];
    FILE *in = fopen(from, "re"), *out = fopen(to, "ae");
    size_t n;
    int rc = in && out ? OK : fail_errno(err, ERR_IO, "%s: cannot open", to);
    while (!rc && (n = fread(bytes, 1, sizeof bytes, in)))
        if (fwrite(bytes, 1, n, out) != n)
            rc = fail_errno(err, ERR_IO, "%s: cannot write", to);
    if (in)
        fclose(in);
    if (out && fclose(out) && !rc)
        rc = fail_errno(err, ERR_IO, "%s: cannot write", to);
    return rc;
}

/* Downloads the first part->bytes bytes of a longer file. curl resumes whole files only, so each
   try requests the missing range and appends what arrived. A server that ignores ranges would send
   more than --max-filesize, and the download fails. */
static int download_first(const struct delivery *d, const struct dataset_origin *o,
                          const char *partial, struct error *err)
{
    char more[PATH_MAX + 16], range[64];
    struct process p = { .status = 0 };
    const size_t had = size_of(partial);
    if (had == d->part->bytes)
        return OK;
    if (had > d->part->bytes)
        return unlink(partial),
               fail(err, ERR_FETCH, "%s was too long and was removed; fetch again", partial);
    snprintf(more, sizeof more, "%s.more", partial);
    unlink(more);
    snprintf(range, sizeof range, "%zu-%zu", had, d->part->bytes - 1);
    int rc = run_curl(d, o, more, "--range", range, &p, err);
    struct error late = { 0 };
    if (size_of(more) && append(partial, more, &late) && !rc)
        rc = fail(err, late.code, "%s", late.text);
    unlink(more);
    if (!rc)
        rc = said_by_curl(&p, err);
    if (!rc && size_of(partial) != d->part->bytes)
        rc = fail(err, ERR_FETCH, "expected %zu bytes, received %zu", d->part->bytes,
                  size_of(partial));
    return rc;
}

int download_file(const struct delivery *d, const struct dataset_origin *o, const char *to,
                  struct error *err)
{
    char partial[PATH_MAX + 8];
    snprintf(partial, sizeof partial, "%s.part", to);
    int rc = d->part->first_only ? download_first(d, o, partial, err)
                                 : download_whole(d, o, partial, err);
    if (rc)
        return rc;
    return rename(partial, to) ? fail_errno(err, ERR_IO, "%s: cannot rename into place", partial)
                               : OK;
}
