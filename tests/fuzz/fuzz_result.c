/* fuzz_result.c - bytes as an untrusted result.json, and as its cells/0.json: refused with an error
 * that begins with the file name, or reported, compared and made into figures, without gnuplot.
 *
 * Bytes that begin with '{' are the document. Other bytes edit a valid document: each group of
 * three is the place of a value, in two bytes, and the replacement.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/support/app.h"
#include "src/figure/plot.h"
#include "src/report/report.h"
#include "src/result/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { INPUT_BYTES_MAX = 40000, FIGURES_MAX = 12, EDITS_MAX = 12 };

static const char whole_path[] = "tests/fuzz/corpus/result/whole.json";
static char dir[PATH_MAX], result_path[PATH_MAX + 16], cell_path[PATH_MAX + 16];
static FILE *nowhere;
static json_t *whole;

static void give_up(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    abort();
}

static void remove_dir(void)
{
    char command[PATH_MAX + 16];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0)
        fprintf(stderr, "%s stays\n", dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *memory = getenv("DRIFTLINE_TEST_MEMORY"), *tmp = getenv("TMPDIR");

    (void)snprintf(dir, sizeof dir, "%s/fuzz_result_XXXXXX",
                   memory && *memory               ? memory
                   : access("/dev/shm", W_OK) == 0 ? "/dev/shm"
                   : tmp && *tmp                   ? tmp
                                                   : "/tmp");
    if (!mkdtemp(dir))
        give_up(dir);
    atexit(remove_dir);
    (void)snprintf(cell_path, sizeof cell_path, "%s/cells", dir);
    if (mkdir(cell_path, 0700) != 0)
        give_up(cell_path);
    (void)snprintf(cell_path, sizeof cell_path, "%s/cells/0.json", dir);
    (void)snprintf(result_path, sizeof result_path, "%s/result.json", dir);
    nowhere = fopen("/dev/null", "w");
    whole = json_load_file(whole_path, 0, NULL);
    if (!nowhere || !whole)
        give_up(whole_path);
    stderr = nowhere; /* of the commands; libFuzzer and the sanitizers write to the descriptor */
    return 0;
}

/* ---- 1. edits of a whole document */

static json_t *odd_value(uint8_t kind)
{
    static const double numbers[] = { 0, -1, 0.5, 1e300, -1e300, 1e-300, 4294967296.0, 1e18 };
    static const char *const texts[] = { "",
                                         "`id`",
                                         "a\nb\"'<>&,",
                                         "#",
                                         "/",
                                         "recall@10/q#1",
                                         "@recall=0.9/",
                                         "\x01\xef\xbf\xbd",
                                         "../../x.svg",
                                         "label" };
    char longer[700];

    switch (kind % 8) {
        case 0: return json_null();
        case 1: return json_boolean(kind / 8 % 2);
        case 2: return json_real(numbers[kind / 8 % (sizeof numbers / sizeof *numbers)]);
        case 3: return json_integer(kind & 128 ? INT64_MIN + (kind & 64) : INT64_MAX);
        case 4: return json_string(texts[kind / 8 % (sizeof texts / sizeof *texts)]);
        case 5:
            memset(longer, "a/[\"\xc3"[kind / 8 % 4], sizeof longer);
            return json_stringn(longer, sizeof longer - kind);
        case 6: return kind & 8 ? json_pack("[[i], {s:i}, s]", 1, "k", 2, "x") : json_array();
        default:
            return kind & 8 ? json_pack("{s:{s:f}, s:[i]}", "a", "k", 1e300, "b", 1)
                            : json_object();
    }
}

/* Puts a value at the place-th position below `in`, in the order of a walk; *place < 0: done. */
static void put(json_t *in, long *place, json_t *value)
{
    const char *key;
    json_t *below;
    size_t i;
    void *next;

    json_object_foreach_safe(in, next, key, below)
    {
        if ((*place)-- == 0)
            (void)json_object_set(in, key, value);
        else
            put(below, place, value);
        if (*place < 0)
            return;
    }
    json_array_foreach(in, i, below) {
        if ((*place)-- == 0)
            (void)json_array_set(in, i, value);
        else
            put(below, place, value);
        if (*place < 0)
            return;
    }
}

static char *edited(const uint8_t *data, size_t bytes)
{
    json_t *document = json_deep_copy(whole);

    for (size_t at = 0; at + 3 <= bytes && at < 3 * EDITS_MAX; at += 3) {
        long place = (data[at] << 8 | data[at + 1]) % 2500;
        json_t *value = odd_value(data[at + 2]);

        put(document, &place, value);
        json_decref(value);
    }
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    return text;
}

/* ---- 2. its use */

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *out = fopen(path, "wb");

    if (!out || fwrite(data, 1, bytes, out) != bytes || fclose(out) != 0)
        give_up(path);
}

static void expect_place(const struct error *error)
{
    if (error->code && strncmp(error->text, result_path, strlen(result_path)) != 0) {
        fprintf(stderr, "no place: %s\n", error->text);
        abort();
    }
}

static void make_figures(const struct result *result)
{
    json_t *specs = figure_specs(result);

    for (size_t i = 0; i < json_array_size(specs) && i < FIGURES_MAX; i++) {
        struct figure f;
        struct error error = { 0 };

        if (figure_gather(&f, result, json_array_get(specs, i), &error) == OK)
            (void)figure_write(&f, result->json, dir, ".", FIGURE_PAGE, NULL, &error);
        figure_free(&f);
    }
    json_decref(specs);
}

static void compare_with_itself(void)
{
    const char *arguments[] = { result_path, dir };
    struct app app = { .arguments = arguments, .n_arguments = 2 };
    FILE *kept = stdout;

    stdout = nowhere;
    struct error error = { 0 };
    (void)command_compare(&app, &error);
    stdout = kept;
}

static void use(void)
{
    struct error error = { 0 };
    struct result result;
    struct summary summary;

    if (result_load(result_path, &result, &error) != OK) {
        expect_place(&error);
        result_close(&result);
        return;
    }
    report_summary(&result, nowhere);
    (void)summary_make(&summary, &result);
    json_decref(summary_json(&summary));
    summary_free(&summary);
    make_figures(&result);
    result_close(&result);
    (void)report_write(dir, &error);
    expect_place(&error);
    compare_with_itself();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *text = NULL;

    if (bytes > INPUT_BYTES_MAX)
        return 0;
    if (!bytes || *data != '{')
        text = edited(data, bytes);
    write_file(result_path, text ? text : (const char *)data, text ? strlen(text) : bytes);
    write_file(cell_path, text ? text : (const char *)data, text ? strlen(text) : bytes);
    free(text);
    use();
    return 0;
}
