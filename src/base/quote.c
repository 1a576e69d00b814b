/* quote.c - see quote.h. */
#include "src/base/quote.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The length of the UTF-8 character at s in bytes, 1 to 4. 0 for invalid UTF-8, surrogates, U+FFFE
   and U+FFFF. */
static size_t character_bytes(const unsigned char *s)
{
    const size_t n = s[0] < 0x80   ? 1
                     : s[0] < 0xc2 ? 0
                     : s[0] < 0xe0 ? 2
                     : s[0] < 0xf0 ? 3
                     : s[0] < 0xf5 ? 4
                                   : 0;
    static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned code = n == 1 ? s[0] : s[0] & (0x7fu >> n);

    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    if (n == 0 || code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
        (code & ~1u) == 0xfffe)
        return 0;
    return n;
}

/* True for ASCII control characters and for U+0080 to U+009F, which take two bytes. */
static bool is_control(const unsigned char *s)
{
    return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
}

/* Advances *at by one character. Returns the character or its replacement and sets *n to its length
   in bytes. `keep` lists control characters that are not replaced. */
static const char *next_plain(const char **at, const char *keep, size_t *n)
{
    const char *here = *at;
    const size_t bytes = character_bytes((const unsigned char *)here);

    *at += bytes ? bytes : 1;
    *n = 1;
    if (bytes == 0)
        return "?";
    if (is_control((const unsigned char *)here) && !strchr(keep, *here))
        return " ";
    *n = bytes;
    return here;
}

/* Most characters are written as octal escapes, because gnuplot expands backquotes and macros even
   inside quotes. Each escape has four digits, the first of which is 0. */
void quote_gnuplot(FILE *out, const char *text)
{
    size_t n;

    fputc('"', out);
    while (*text) {
        const char *c = next_plain(&text, "", &n);
        for (size_t i = 0; i < n; i++) {
            const unsigned char byte = (unsigned char)c[i];
            const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                               (byte >= '0' && byte <= '9') || strchr(" .,:;=+-_()[]/<>*", byte);
            fprintf(out, plain ? "%c" : "\\0%03o", byte);
        }
    }
    fputc('"', out);
}

void quote_csv(FILE *out, const char *text)
{
    const bool quoted = strpbrk(text, ",\"") != NULL;
    size_t n;

    if (quoted)
        fputc('"', out);
    while (*text) {
        const char *c = next_plain(&text, "", &n);
        if (*c == '"')
            fputc('"', out);
        fwrite(c, 1, n, out);
    }
    if (quoted)
        fputc('"', out);
}

/* Bytes other than printable ASCII are written as \ddd, so the literal is the text, byte by byte. */
void quote_lua(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < ' ' || *c > '~')
            fprintf(out, "\\%03u", *c);
        else
            fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    fputc('"', out);
}

void quote_html(FILE *out, const char *text)
{
    size_t n;

    while (*text) {
        const char *c = next_plain(&text, "\n\t", &n);
        switch (*c) {
            case '<': fputs("&lt;", out); break;
            case '>': fputs("&gt;", out); break;
            case '&': fputs("&amp;", out); break;
            case '"': fputs("&quot;", out); break;
            case '\'': fputs("&#39;", out); break;
            default: fwrite(c, 1, n, out);
        }
    }
}

void quote_terminal(FILE *out, const char *text)
{
    size_t n;

    while (*text) {
        const char *c = next_plain(&text, "\n\t", &n);
        fwrite(c, 1, n, out);
    }
}

json_t *quote_json(const char *text)
{
    struct quoted_output plain;

    quote_terminal_begin(&plain);
    if (plain.out)
        quote_terminal(plain.out, text);
    json_t *json =
        plain.out && fclose(plain.out) == 0 ? json_stringn(plain.text, plain.bytes) : NULL;
    free(plain.text);
    return json;
}

void quote_terminal_begin(struct quoted_output *p)
{
    *p = (struct quoted_output){ 0 };
    p->out = open_memstream(&p->text, &p->bytes);
}

void quote_terminal_print(struct quoted_output *p)
{
    if (p->out && fclose(p->out) == 0)
        quote_terminal(stdout, p->text);
    free(p->text);
}
