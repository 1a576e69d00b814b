/* fuzz_config.c - any text as a config: loaded and planned, or refused with an error that begins
   with the file name. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/plan/plan.h"
#include "tests/support/toy_methods.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { INPUT_BYTES_MAX = 20000 };

static void load(const char *path)
{
    struct registry registry = toy_registry();
    /* Without a root there is no catalog, so nothing is fetched. Low limits end loops
       before a fuzzer's timeout. */
    struct run_options options = { .root = "/nonexistent",
                                   .offline = true,
                                   .no_install = true,
                                   .script_instructions = 200000,
                                   .script_bytes = 4 << 20 };
    struct error err = { 0 };
    struct experiment *ex = NULL;
    struct plan plan = { 0 };
    int rc = experiment_load(&ex, path, &options, &registry, &err);
    if (rc && strncmp(err.text, path, strlen(path)) != 0) {
        fprintf(stderr, "no place: %s\n", err.text);
        abort();
    }
    if (!rc && plan_make(&plan, ex, &options, &err) == OK)
        plan_free(&plan);
    experiment_free(ex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char path[PATH_MAX];
    const char *tmp = getenv("TMPDIR");
    if (bytes > INPUT_BYTES_MAX)
        return 0;
    (void)snprintf(path, sizeof path, "%s/fuzz_config_%ld.lua", tmp && *tmp ? tmp : "/tmp",
                   (long)getpid());
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(data, 1, bytes, out) != bytes || fclose(out) != 0) {
        perror(path);
        abort();
    }
    load(path);
    unlink(path);
    return 0;
}
