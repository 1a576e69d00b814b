/* libraries.c - see libraries.h. */
#define _GNU_SOURCE
#include "src/cli/support/libraries.h"

#include <link.h>
#include <stdio.h>
#include <string.h>

#include "build_info.h"
#include "src/data/files/sha256.h"

struct search {
    const struct linked_library *linked;
    size_t n;
    struct error *err;
};

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int check_loaded(const struct linked_library *linked, const char *path, struct error *err)
{
    char found[SHA256_HEX_BYTES];
    const int rc = sha256_file(path, found, NULL, err);
    if (rc || !strcmp(found, linked->sha256))
        return rc;
    return fail(
        err, ERR_CORRUPT,
        "%s: its sha256 is %s, but this program was linked with %s (sha256 %s); the file is "
        "damaged or was replaced; run make to build it again",
        path, found, linked->path, linked->sha256);
}

static int on_library(struct dl_phdr_info *info, size_t bytes, void *context)
{
    const struct search *s = context;
    (void)bytes;
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(file_name(info->dlpi_name), file_name(s->linked[i].path)))
            return check_loaded(&s->linked[i], info->dlpi_name, s->err);
    return OK;
}

int libraries_check(const struct linked_library *linked, size_t n, struct error *err)
{
    struct search s = { linked, n, err };
    return dl_iterate_phdr(on_library, &s);
}

int libraries_check_linked(struct error *err)
{
    static const struct linked_library linked[] = {
#define LINKED(path, sha256) { path, sha256 },
        BUILD_BASELINE_LIBRARIES(LINKED)
#undef LINKED
            { "", "" }
    };
    return libraries_check(linked, sizeof linked / sizeof *linked - 1, err);
}
