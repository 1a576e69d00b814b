/* key_place.c - finds the line of a key in a call by scanning the text of the call, as Lua records
 * the lines of calls only. */
#include <string.h>

#include "src/config/script/script.h"

struct key_scan {
    const char *at, *end; /* a 0 is at the end */
    int line, depth;
    const char *word; /* the last name or string, and its length */
    size_t length;
};

/* At '[': skips a long bracket, as [[...]] or [=[...]=], if one opens here, else returns false. */
static bool skip_long_bracket(struct key_scan *s)
{
    const size_t level = strspn(s->at + 1, "=");
    if (s->at[level + 1] != '[')
        return false;
    for (s->at += level + 2; s->at < s->end; s->at++) {
        s->line += *s->at == '\n';
        if (*s->at == ']' && strspn(s->at + 1, "=") == level && s->at[level + 1] == ']') {
            s->at += level + 2;
            break;
        }
    }
    return true;
}

static void skip_comment(struct key_scan *s)
{
    s->at += 2;
    if (s->at < s->end && *s->at == '[' && skip_long_bracket(s))
        return;
    while (s->at < s->end && *s->at != '\n')
        s->at++;
}

static void read_string(struct key_scan *s)
{
    const char quote = *s->at++;
    s->word = s->at;
    while (s->at < s->end && *s->at != quote && *s->at != '\n')
        s->at += *s->at == '\\' && s->at + 1 < s->end ? 2 : 1;
    s->at = s->at > s->end ? s->end : s->at;
    s->length = (size_t)(s->at - s->word);
    if (s->at < s->end && *s->at == quote)
        s->at++;
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The next token: 'n' for a name or a string, with `word` set; '~' for ==; else its character; 0
   at the end. */
static char next_token(struct key_scan *s)
{
    while (s->at < s->end) {
        const char c = *s->at;
        if (c == '\n' || c == ' ' || c == '\t' || c == '\r') {
            s->line += c == '\n';
            s->at++;
        } else if (c == '-' && s->at + 1 < s->end && s->at[1] == '-') {
            skip_comment(s);
        } else if (c == '"' || c == '\'') {
            read_string(s);
            return 'n';
        } else if (name_char(c)) {
            s->word = s->at;
            while (s->at < s->end && name_char(*s->at))
                s->at++;
            s->length = (size_t)(s->at - s->word);
            return 'n';
        } else if (c == '[' && skip_long_bracket(s)) {
            s->word = "";
            s->length = 0;
            return 'n';
        } else {
            s->at++;
            if (c == '=' && s->at < s->end && *s->at == '=') {
                s->at++;
                return '~';
            }
            return c;
        }
    }
    return 0;
}

static struct key_scan scan_from_line(const struct script_file *file, int line)
{
    struct key_scan s = { .at = file->text, .end = file->text + file->bytes, .line = 1 };
    for (; s.at < s.end && s.line < line; s.at++)
        s.line += *s.at == '\n';
    return s;
}

/* The line of `key =` `depth` braces deep, 0: at any depth, in the first table after s;
   0: not found. */
static int find_key(struct key_scan s, int depth, const char *key)
{
    const size_t length = strlen(key);
    int braces = 0;
    for (char c; (c = next_token(&s)) != 0;) {
        if (c == '{')
            braces++;
        if (c == '}' && --braces <= 0)
            return 0;
        if (c != 'n' || !braces || (depth && braces != depth) || s.length != length ||
            strncmp(s.word, key, length) != 0)
            continue;
        const int found = s.line;
        struct key_scan after = s;
        c = next_token(&after);
        if (c == ']')
            c = next_token(&after);
        if (c == '=')
            return found;
    }
    return 0;
}

/* Several tables may open on the call's line: the first that has the key is taken. */
static int find_key_line(const struct script_file *file, int line, int depth, const char *key)
{
    struct key_scan s = scan_from_line(file, line);
    int found = 0;
    while (!found) {
        const struct key_scan before = s;
        const char c = next_token(&s);
        if (!c || s.line > line)
            return 0;
        if (c == '{')
            found = find_key(before, depth, key);
    }
    return found;
}

struct script_place script_key_place(lua_State *L, struct script_place call, int depth,
                                     const char *key)
{
    const struct script *s = script_of(L);
    for (size_t i = 0; i < s->n_files; i++) {
        if (s->files[i].path != call.file)
            continue;
        const int line = find_key_line(&s->files[i], call.line, depth, key);
        if (line)
            call.line = line;
    }
    return call;
}
