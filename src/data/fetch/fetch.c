/* fetch.c - fetches a part: from the cache, local folders, then each origin; checks, converts
 * and maps it. */
#define _GNU_SOURCE
#include "src/data/fetch/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/path.h"
#include "src/core/append_text.h"
#include "src/data/fetch/cache.h"
#include "src/data/fetch/origins.h"
#include "src/data/fetch/sums.h"

/* 1. Names */

const struct dataset_part *fetch_find_part(const struct dataset_entry *entry, const char *part)
{
    for (size_t i = 0; i < entry->n_parts; i++)
        if (!strcmp(entry->parts[i].part, part))
            return &entry->parts[i];
    return NULL;
}

static bool begins(const char *text, const char *with)
{
    return !strncasecmp(text, with, strlen(with));
}

int fetch_check_trust(const struct dataset_part *part, struct error *err)
{
    if (part->n_origins && !part->sha256 && !part->unpinned)
        return fail(err, ERR_CONFIG,
                    "%s has no sha256, so a replaced file would not be noticed; add its sha256, or "
                    "set unpinned = true",
                    part->file);
    for (size_t i = 0; i < part->n_origins; i++) {
        const struct dataset_origin *o = &part->origins[i];
        if (o->kind != ORIGIN_URL || begins(o->address, "https://"))
            continue;
        if (!begins(o->address, "http://") && !begins(o->address, "ftp://"))
            return fail(err, ERR_CONFIG, "%s: an address begins with https://, http:// or ftp://",
                        o->address);
        if (!o->insecure)
            return fail(
                err, ERR_CONFIG,
                "%s: plain %.*s can be changed on the way; use https, or set insecure = true",
                o->address, (int)strcspn(o->address, ":"), o->address);
    }
    return OK;
}

/* Fills what is known of a delivery before it begins. rows: the part must have some. ERR_NOT_FOUND,
   ERR_ARGUMENT, and errors of cache_prepare(). */
static int find_delivery(struct delivery *d, const struct dataset_entry *entry, const char *part,
                         bool rows, const struct fetch_env *env, struct error *err)
{
    *d = (struct delivery){
        .entry = entry, .part = fetch_find_part(entry, part), .env = env, .lock = -1
    };
    if (!d->part) {
        char names[300] = "";
        for (size_t i = 0; i < entry->n_parts; i++)
            append_text(names, sizeof names, ", ", "%s", entry->parts[i].part);
        return fail(err, ERR_NOT_FOUND, "dataset \"%s\" has no part \"%s\"; it has %s", entry->name,
                    part, names);
    }
    if (rows && d->part->plain)
        return fail(err, ERR_ARGUMENT, "%s/%s holds no rows; it is a file to be read as it is",
                    entry->name, part);
    snprintf(d->what, sizeof d->what, "fetch %s/%s", entry->name, part);
    return cache_prepare(env->cache_dir, err);
}

/* Waits for the lock of the data set; the caller ends it by cache_unlock(d->lock), also after an
   error. */
static int begin_delivery(struct delivery *d, struct error *err)
{
    char lock[PATH_MAX + 8];
    const int folder =
        snprintf(d->folder, sizeof d->folder, "%s/downloads/%s", d->env->cache_dir, d->entry->name);
    const int rc = folder < PATH_MAX && fetch_target(d->entry, d->part, d->env, d->target)
                       ? path_make_folders(d->folder, 0755, err)
                       : fail(err, ERR_ARGUMENT, "%.80s...: the path of the cache is too long",
                              d->env->cache_dir);
    snprintf(lock, sizeof lock, "%s/lock", d->folder);
    return rc ? rc : cache_lock(lock, &d->lock, err);
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* 2. Local folders */

static bool try_local(const char *folder, const char *name, const char *suffix, char out[PATH_MAX])
{
    return snprintf(out, PATH_MAX, "%s/%s%s", folder, name, suffix) < PATH_MAX && exists(out);
}

/* Finds folder/NAME/file or folder/file, with or without ".gz". *certain: the path has a folder
 * that identifies the data set, so the file is meant for it. */
static bool find_in_folder(const struct delivery *d, const char *folder, bool *certain,
                           char out[PATH_MAX])
{
    char own[PATH_MAX + SOURCE_NAME_BYTES], bare[PATH_MAX];
    const char *file = d->part->file;
    const bool packed = path_ends(file, ".gz");
    snprintf(bare, sizeof bare, "%.*s", (int)(strlen(file) - (packed ? 3 : 0)), file);
    snprintf(own, sizeof own, "%s/%.250s", folder, d->entry->name);
    *certain = true;
    if (try_local(own, file, "", out) || try_local(own, bare, packed ? "" : ".gz", out))
        return true;
    *certain = strchr(file, '/') != NULL;
    return try_local(folder, file, "", out) || try_local(folder, bare, packed ? "" : ".gz", out);
}

/* Takes the first folder off a list separated by ':'; false at its end. "" for one that is empty or
 * whose path is too long. */
static bool next_folder(const char **list, char folder[PATH_MAX])
{
    if (!*list || !**list)
        return false;
    const size_t n = strcspn(*list, ":");
    snprintf(folder, PATH_MAX, "%.*s", (int)(n < PATH_MAX ? n : 0), *list);
    *list += n + ((*list)[n] == ':');
    return true;
}

struct attempts {
    char text[900];
};

static void add_attempt(struct attempts *a, const char *source, const char *why)
{
    append_text(a->text, sizeof a->text, "", "\n  %.200s: %.330s", source, why);
}

/* Searches the folders of DRIFTLINE_DATA; d->found is "" if none has the file. A damaged file is
   an error if its path identifies the data set: a download would hide that the user's own file
   is not used. */
static int look_locally(struct delivery *d, struct attempts *tried, struct error *err)
{
    const char *list = d->env->data_path;
    char folder[PATH_MAX];
    d->found[0] = 0;
    while (next_folder(&list, folder)) {
        char path[PATH_MAX], hex[SHA256_HEX_BYTES];
        if (!folder[0])
            continue;
        bool certain;
        if (!find_in_folder(d, folder, &certain, path)) {
            add_attempt(tried, folder, "has no such file");
            continue;
        }
        struct error why = { 0 };
        int rc = fetch_check_sha256(d, path, hex, &why);
        if (rc && (certain || rc == ERR_INTERRUPTED))
            return fail(err, rc, "%s: %s", d->what, why.text);
        if (rc) {
            add_attempt(tried, folder, why.text);
            continue;
        }
        memcpy(d->found, path, sizeof d->found);
        return fetch_made_here(d->part) ? fetch_record(d, hex, err) : OK;
    }
    if (!d->env->data_path || !*d->env->data_path)
        add_attempt(tried, "DRIFTLINE_DATA", "names no folder");
    return OK;
}

/* 3. Origins */

static int check_delivered(struct delivery *d, struct error *err)
{
    char hex[SHA256_HEX_BYTES], recorded[SHA256_HEX_BYTES];
    const bool pinned = d->part->sha256 && !fetch_made_here(d->part);
    int rc = fetch_check_sha256(d, d->found, hex, err);
    if (!rc && !pinned && fetch_read_record(d->entry, d->part, d->env, recorded) &&
        strcmp(recorded, hex) != 0)
        rc = fail(err, ERR_CORRUPT,
                  "%s: sha256 %s is not the one recorded when it was first downloaded (%s.sha256)",
                  d->found, hex, d->target);
    bool ours = !strcmp(d->found, d->target);
    if (rc == ERR_CORRUPT && ours) {
        char bad[PATH_MAX + 8];
        snprintf(bad, sizeof bad, "%s.bad", d->found);
        rename(d->found, bad);
    }
    if (!rc && !pinned && ours)
        rc = fetch_record(d, hex, err);
    return rc;
}

/* Warns that a recipe's file is not the one that the catalog knows. */
static int say_other(const struct delivery *d)
{
    const struct data_progress *progress = &d->env->progress;
    char line[400], hex[SHA256_HEX_BYTES];
    if (!progress->step || !d->part->sha256 || !fetch_made_here(d->part) ||
        !fetch_read_record(d->entry, d->part, d->env, hex) || !strcmp(hex, d->part->sha256))
        return 0;
    snprintf(line, sizeof line,
             "%s: other bytes than the catalog's, as from other versions of what the recipe uses: "
             "sha256 %.16s..., expected %.16s...; results name it",
             d->what, hex, d->part->sha256);
    return progress->step(progress->context, line, 0, 0);
}

/* Warns before a download that has no sha256 to check it against. */
static int say_trust(const struct delivery *d, const struct dataset_origin *o, const char *name)
{
    const struct data_progress *progress = &d->env->progress;
    char line[512];
    if (!progress->step || d->part->sha256 || o->kind == ORIGIN_RECIPE)
        return 0;
    snprintf(line, sizeof line,
             "%s: trusting %s%s: the catalog has no sha256 of it; what comes is recorded", d->what,
             name, o->insecure ? ", over a connection that others can change" : "");
    return progress->step(progress->context, line, 0, 0);
}

static int try_origins(struct delivery *d, struct attempts *tried, struct error *err)
{
    struct error refused = { 0 };
    if (fetch_check_trust(d->part, &refused))
        return fail(err, refused.code, "%s: %s", d->what, refused.text);
    for (size_t i = 0; i < d->part->n_origins; i++) {
        char name[160];
        struct error why = { 0 };
        origin_name(&d->part->origins[i], name, sizeof name);
        if (say_trust(d, &d->part->origins[i], name))
            return fail(err, ERR_INTERRUPTED, "%s: interrupted", d->what);
        if (d->part->origins[i].kind == ORIGIN_RECIPE)
            fetch_forget_records(d);
        int rc = origin_get(d, &d->part->origins[i], &why);
        if (!rc)
            rc = check_delivered(d, &why);
        if (!rc)
            return OK;
        if (rc == ERR_INTERRUPTED)
            return fail(err, rc, "%s: %s", d->what, why.text);
        add_attempt(tried, name, why.text);
    }
    return fail(err, ERR_FETCH, "%s: no source provides %s:%s", d->what, d->part->file,
                tried->text);
}

/* The caller holds the dataset's lock. */
static int deliver(struct delivery *d, struct error *err)
{
    struct attempts tried = { "" };
    int rc = look_locally(d, &tried, err);
    if (rc || d->found[0])
        return rc;
    if (exists(d->target)) {
        struct error why = { 0 };
        memcpy(d->found, d->target, sizeof d->found);
        rc = check_delivered(d, &why);
        if (!rc)
            return OK;
        if (rc != ERR_CORRUPT)
            return fail(err, rc, "%s: %s", d->what, why.text);
        add_attempt(&tried, "cache", why.text);
    }
    return try_origins(d, &tried, err);
}

int fetch_file(const struct dataset_entry *entry, const char *part, const struct fetch_env *env,
               char path[PATH_MAX], struct error *err)
{
    struct delivery d;
    int rc = find_delivery(&d, entry, part, false, env, err);
    if (!rc)
        rc = begin_delivery(&d, err);
    if (!rc)
        rc = deliver(&d, err);
    cache_unlock(d.lock);
    if (!rc)
        memcpy(path, d.found, PATH_MAX);
    return rc;
}

/* 4. Rows */

struct cached {
    char npy[PATH_MAX], name[SOURCE_NAME_BYTES], key[600];
};

static const char *or_dash(const char *text)
{
    return text ? text : "-";
}

/* Whether the part has one number per row, such as a time or a label. */
static bool holds_numbers(const struct dataset_part *part)
{
    return part->dim == 1 && !part->element && strcmp(part->part, "base") != 0 &&
           strcmp(part->part, "query") != 0;
}

static void name_cached(const struct delivery *d, struct cached *c)
{
    const struct dataset_part *part = d->part;
    char recorded[SHA256_HEX_BYTES];
    const char *sha256 = part->sha256;
    if (fetch_made_here(part) && fetch_read_record(d->entry, part, d->env, recorded))
        sha256 = recorded;
    snprintf(c->npy, sizeof c->npy, "%s/datasets/%s/%s.npy", d->env->cache_dir, d->entry->name,
             part->part);
    snprintf(c->name, sizeof c->name, "%s/%s", d->entry->name, part->part);
    snprintf(c->key, sizeof c->key,
             "file=%s sha256=%s format=%s dataset=%s element=%s rows=%zu dim=%zu", part->file,
             or_dash(sha256), or_dash(part->format), or_dash(part->dataset), or_dash(part->element),
             part->rows, part->dim);
    /* Only where it is used, so that files converted before it was known stay valid. */
    if (part->add)
        append_text(c->key, sizeof c->key, " ", "add=%d", part->add);
    else if (holds_numbers(part))
        append_text(c->key, sizeof c->key, " ", "numbers");
}

static int convert(struct delivery *d, const struct cached *c, struct error *err)
{
    const struct dataset_part *part = d->part;
    char folder[PATH_MAX];
    struct source *s;
    /* Inflated files can be larger than memory, so they go to the cache's disk. */
    struct file_options options = { .format = part->format,
                                    .dataset = part->dataset,
                                    .element = part->element,
                                    .numbers = holds_numbers(part),
                                    .add = part->add,
                                    .dim = part->dim,
                                    .first_rows = part->first_only ? part->rows : 0,
                                    .scratch_dir = d->folder,
                                    .limit_bytes = (size_t)1 << 42 };
    snprintf(folder, sizeof folder, "%s", c->npy);
    *strrchr(folder, '/') = 0;
    int rc = path_make_folders(folder, 0755, err);
    if (!rc)
        rc = file_open(d->found, &options, &s, err);
    if (rc)
        return rc;
    if (part->rows && s->n != part->rows)
        rc = fail(err, ERR_DIMENSION, "%s: %s has %zu rows, the catalog says %zu", d->what,
                  d->found, s->n, part->rows);
    if (!rc)
        rc = cache_store(s, c->npy, c->key, d->env->progress.step ? &d->env->progress : NULL, err);
    source_close(s);
    return rc;
}

static int open_cached(const struct delivery *d, const struct cached *c, struct source **out,
                       struct error *err)
{
    return cache_open(c->npy, c->key, c->name, holds_numbers(d->part), out, err);
}

static int fetch_and_convert(struct delivery *d, struct cached *c, struct source **out,
                             struct error *err)
{
    int rc = begin_delivery(d, err);
    /* Another process may have stored it before this one got the lock. */
    if (!rc)
        rc = open_cached(d, c, out, err);
    if (!rc && !*out)
        rc = deliver(d, err);
    if (!rc && !*out) {
        name_cached(d, c); /* with the hash of what has come */
        rc = convert(d, c, err);
        if (!rc)
            rc = open_cached(d, c, out, err);
        if (!rc && !*out)
            rc = fail(err, ERR_IO, "%s: was written but cannot be read back", c->npy);
    }
    cache_unlock(d->lock);
    return rc;
}

int fetch_part(const struct dataset_entry *entry, const char *part, const struct fetch_env *env,
               struct source **out, struct error *err)
{
    struct delivery d;
    struct cached c;
    *out = NULL;
    int rc = find_delivery(&d, entry, part, true, env, err);
    if (rc)
        return rc;
    name_cached(&d, &c);
    rc = open_cached(&d, &c, out, err);
    if (!rc && !*out)
        rc = fetch_and_convert(&d, &c, out, err);
    if (!rc && say_other(&d)) {
        source_close(*out);
        *out = NULL;
        rc = fail(err, ERR_INTERRUPTED, "%s: interrupted", d.what);
    }
    return rc;
}

/* 5. What is known without fetching */

bool fetch_at_hand(const struct dataset_entry *entry, const struct dataset_part *part,
                   const struct fetch_env *env)
{
    char folder[PATH_MAX], path[PATH_MAX];
    bool certain, found = false;
    struct delivery d = { .entry = entry, .part = part, .env = env };
    if (env->cache_dir) {
        (void)snprintf(path, sizeof path, "%s/datasets/%s/%s.npy.meta", env->cache_dir, entry->name,
                       part->part);
        found = exists(path) || (fetch_target(entry, part, env, path) && exists(path));
    }
    const char *list = env->data_path;
    while (!found && next_folder(&list, folder))
        found = folder[0] && find_in_folder(&d, folder, &certain, path);
    for (size_t i = 0; !found && i < part->n_origins; i++)
        found = part->origins[i].kind == ORIGIN_DEBIAN &&
                snprintf(path, sizeof path, "/%s", part->origins[i].member) < PATH_MAX &&
                exists(path);
    return found;
}
