/* page.c - a generated file: gathered in memory, and written if it differs from the present one. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/atomic_file.h"
#include "src/base/path.h"
#include "src/cli/docs/internal.h"

int docs_begin(struct docs_page *page, struct error *error)
{
    *page = (struct docs_page){ 0 };
    page->out = open_memstream(&page->text, &page->bytes);
    return page->out ? OK : fail(error, ERR_NO_MEMORY, "out of memory for a document");
}

void docs_abandon(struct docs_page *page)
{
    fclose(page->out);
    free(page->text);
}

int docs_finish(struct docs_page *page, const char *folder, const char *name, struct error *error)
{
    char *before = NULL, path[PATH_MAX];
    size_t bytes_before = 0;
    struct error absent = { 0 };
    int rc = OK;
    if (fflush(page->out))
        rc = fail(error, ERR_NO_MEMORY, "out of memory for %s/%s", folder, name);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)path_read_file(folder, name, &before, &bytes_before, &absent);
    if (!rc && (!before || bytes_before != page->bytes || memcmp(before, page->text, page->bytes)))
        rc = atomic_file_write(path, page->text, page->bytes, error);
    free(before);
    docs_abandon(page);
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
