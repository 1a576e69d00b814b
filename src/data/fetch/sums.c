/* sums.c - see sums.h. */
#define _GNU_SOURCE
#include "src/data/fetch/sums.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/atomic_file.h"
#include "src/data/readers/bytes.h"

/* The sha256 of the inflated data of a gzip file, "" for another file: a local copy may be
   compressed where the catalog's file is not. */
static int sha256_inflated(const char *path, char hex[SHA256_HEX_BYTES], struct error *err)
{
    struct bytes b;
    int rc = bytes_open(&b, path, NULL, 0, err);
    if (rc)
        return rc;
    if (b.was_gzip)
        rc = sha256_block(b.at, b.size, hex, err);
    else
        hex[0] = 0;
    bytes_close(&b);
    return rc;
}

bool fetch_made_here(const struct dataset_part *part)
{
    for (size_t i = 0; i < part->n_origins; i++)
        if (part->origins[i].kind == ORIGIN_RECIPE)
            return true;
    return false;
}

int fetch_check_sha256(const struct delivery *d, const char *path, char hex[SHA256_HEX_BYTES],
                       struct error *err)
{
    char inflated[SHA256_HEX_BYTES] = "";
    int rc = sha256_file(path, hex, &d->env->progress, err);
    if (rc || !d->part->sha256 || !strcmp(hex, d->part->sha256) || fetch_made_here(d->part))
        return rc;
    if (!sha256_inflated(path, inflated, NULL) && !strcmp(inflated, d->part->sha256))
        return OK;
    struct stat st;
    return fail(
        err, ERR_CORRUPT,
        "%s: expected sha256 %s, found %s (%lld bytes); the file is damaged, short or another one",
        path, d->part->sha256, hex, stat(path, &st) ? 0LL : (long long)st.st_size);
}

bool fetch_target(const struct dataset_entry *entry, const struct dataset_part *part,
                  const struct fetch_env *env, char out[PATH_MAX])
{
    const char *slash = strrchr(part->file, '/');
    return env->cache_dir && snprintf(out, PATH_MAX, "%s/downloads/%s/%s", env->cache_dir,
                                      entry->name, slash ? slash + 1 : part->file) < PATH_MAX - 16;
}

/* Where the hash of a file is recorded when it is first delivered; false: the path is too long. */
static bool record_path(const struct dataset_entry *entry, const struct dataset_part *part,
                        const struct fetch_env *env, char out[PATH_MAX])
{
    const bool fits = fetch_target(entry, part, env, out);
    if (fits)
        memcpy(out + strlen(out), ".sha256", sizeof ".sha256");
    return fits;
}

bool fetch_read_record(const struct dataset_entry *entry, const struct dataset_part *part,
                       const struct fetch_env *env, char recorded[SHA256_HEX_BYTES])
{
    char path[PATH_MAX];
    FILE *f = record_path(entry, part, env, path) ? fopen(path, "re") : NULL;
    if (!f)
        return false;
    const size_t n = fread(recorded, 1, SHA256_HEX_BYTES - 1, f);
    recorded[n] = 0;
    fclose(f);
    return true;
}

int fetch_record(const struct delivery *d, const char *hex, struct error *err)
{
    char path[PATH_MAX], line[SHA256_HEX_BYTES + 2];
    if (!record_path(d->entry, d->part, d->env, path))
        return fail(err, ERR_ARGUMENT, "%.80s...: the path is too long", d->target);
    const int n = snprintf(line, sizeof line, "%s\n", hex);
    return atomic_file_write(path, line, (size_t)n, err);
}

void fetch_forget_records(const struct delivery *d)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < d->entry->n_parts; i++)
        if (fetch_made_here(&d->entry->parts[i]) &&
            record_path(d->entry, &d->entry->parts[i], d->env, path))
            unlink(path);
}

void fetch_sha256(const struct dataset_entry *entry, const struct dataset_part *part,
                  const struct fetch_env *env, char hex[SHA256_HEX_BYTES])
{
    if ((part->sha256 && !fetch_made_here(part)) || !fetch_read_record(entry, part, env, hex))
        snprintf(hex, SHA256_HEX_BYTES, "%s", part->sha256 ? part->sha256 : "");
}
