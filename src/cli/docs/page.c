/* page.c - a generated file, written if it differs from the present one; its cells. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/path.h"
#include "src/cli/docs/internal.h"

int docs_finish(struct atomic_text *page, const char *folder, const char *name, struct error *error)
{
    char *before = NULL, path[PATH_MAX];
    size_t bytes = 0;
    struct error absent = { 0 };
    int rc = atomic_text_end(page, error);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)path_read_file(folder, name, &before, &bytes, &absent);
    if (!rc && (!before || bytes != page->bytes || memcmp(before, page->text, bytes)))
        rc = atomic_text_write(page, path, error);
    free(before);
    atomic_text_free(page);
    return rc;
}

void docs_cell(FILE *out, const char *text)
{
    bool code = false;
    for (; *text; text++) {
        code ^= *text == '`';
        if (*text == '|')
            fputs("\\|", out);
        else if (*text == '<' && !code)
            fputs("&lt;", out);
        else
            fputc(*text, out);
    }
}

void docs_number(FILE *out, double value)
{
    const double size = fabs(value), two = nearbyint(log2(size)), ten = nearbyint(log10(size));
    if (size >= 1e6 && size == exp2(two))
        fprintf(out, "2^%.0f", two);
    else if (size >= 1e6 && size + 1 == exp2(two))
        fprintf(out, "2^%.0f - 1", two);
    else if (size >= 1e6 && size == pow(10, ten))
        fprintf(out, "1e%.0f", ten);
    else if (size > 0 && size < 1e-3 && size == pow(10, ten))
        fprintf(out, "1e-%.0f", -ten);
    else
        fprintf(out, "%.15g", value);
}
