/* language.c - a section of the config language, from language.def. */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/path.h"
#include "src/cli/docs/internal.h"
#include "src/config/script/language.h"

/* Whether a call has keys that are documented. */
static bool has_keys(enum lua_call call)
{
    for (const struct lua_word *word = lua_language; word->name; word++)
        if (word->kind == WORD_KEY && word->call == call)
            return true;
    return false;
}

static void link_to(FILE *out, const char *before, const char *stem)
{
    fprintf(out, "%s [%s.lua](../configs/examples/%s.lua)", before, stem, stem);
}

/* Writes `before` and a link if configs/examples has a config of that name. Returns whether. */
static bool example(const struct docs_program *program, FILE *out, const char *before,
                    const char *name)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/configs/examples/%s.lua", program->root, name);
    const bool there = access(path, R_OK) == 0;
    if (there)
        link_to(out, before, name);
    return there;
}

/* Links the example named after the call, else the first whose text has the call: "w:begin {". */
static void example_of_call(const struct docs_program *program, FILE *out, const char *before,
                            const struct lua_word *word)
{
    char folder[PATH_MAX], written[100];
    struct dirent **entries;
    const char *usage = word->usage + (strncmp(word->usage, "v:", 2) == 0);
    const size_t length = strcspn(usage, "{(\"");
    if (example(program, out, before, lua_call_member(word->call)) || !usage[length] || length < 3)
        return;
    (void)snprintf(written, sizeof written, "%.*s", (int)length + 1, usage);
    (void)snprintf(folder, sizeof folder, "%s/configs/examples", program->root);
    const int n = scandir(folder, &entries, docs_is_config, alphasort);
    bool found = false;
    for (int i = 0; i < n; i++) {
        char *text = NULL, *name = entries[i]->d_name;
        size_t bytes;
        struct error unreadable = { 0 };
        if (!found && !path_read_file(folder, name, &text, &bytes, &unreadable) &&
            strstr(text, written)) {
            found = true;
            name[strlen(name) - 4] = '\0';
            link_to(out, before, name);
        }
        free(text);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

/* Alternatives are separated by " | ", each in a code span. */
static void usage(FILE *out, const char *text)
{
    static const char between[] = " | ";
    for (const char *next; (next = strstr(text, between)) != NULL; text = next + 3)
        fprintf(out, "`%.*s`, ", (int)(next - text), text);
    fprintf(out, "`%s`", text);
}

static void call_row(const struct docs_program *program, FILE *out, const struct lua_word *word)
{
    fputs("| ", out);
    usage(out, word->usage);
    fputs(" | ", out);
    docs_cell(out, word->help);
    example_of_call(program, out, "; example:", word);
    fputs(" |\n", out);
}

/* The rows of calls without keys that follow each other; returns the last one. */
static const struct lua_word *call_table(const struct docs_program *program, FILE *out,
                                         const struct lua_word *word)
{
    fputs("\n| call | meaning |\n| --- | --- |\n", out);
    for (const struct lua_word *next = word; next->name; next++) {
        if (next->kind == WORD_SECTION || has_keys(next->call))
            break;
        if (next->kind == WORD_CALL)
            call_row(program, out, word = next);
    }
    return word;
}

static void call_head(const struct docs_program *program, FILE *out, const struct lua_word *word)
{
    fprintf(out, "\n### `%s`\n\n", word->name);
    usage(out, word->usage);
    fprintf(out, "\n\n%c%s.", toupper(word->help[0]), word->help + 1);
    example_of_call(program, out, " Example:", word);
    fputs("\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n", out);
}

static void key_row(const struct docs_program *program, FILE *out, const struct lua_word *word)
{
    fprintf(out, "| `%s`%s | ", word->name, word->settable ? " (`--set`)" : "");
    docs_cell(out, word->usage);
    fputs(" | ", out);
    docs_cell(out, *word->otherwise ? word->otherwise : "-");
    fputs(" | ", out);
    docs_cell(out, word->help);
    if (strcmp(lua_call_member(word->call), word->name) != 0)
        (void)example(program, out, "; example:", word->name);
    fputs(" |\n", out);
}

enum docs_result docs_language(const struct docs_program *program, FILE *out, const char *arguments,
                               struct error *error)
{
    const struct lua_word *word = lua_language;
    while (word->name && (word->kind != WORD_SECTION || strcmp(word->name, arguments) != 0))
        word++;
    if (!word->name) {
        fail(error, ERR_NOT_FOUND, "language.def has no section \"%s\"", arguments);
        return DOCS_FAILED;
    }
    for (word++; word->name && word->kind != WORD_SECTION; word++) {
        if (word->kind == WORD_CALL && has_keys(word->call))
            call_head(program, out, word);
        else if (word->kind == WORD_CALL)
            word = call_table(program, out, word);
        else if (word->kind == WORD_KEY)
            key_row(program, out, word);
    }
    fputc('\n', out);
    return DOCS_WRITTEN;
}
