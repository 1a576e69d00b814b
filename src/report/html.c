/* html.c - head and end of a page, its figures and table cells. A content security policy allows
   only the page's own script and style. */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/path.h"
#include "src/base/quote.h"
#include "src/data/files/sha256.h"
#include "src/report/internal.h"

/* The Makefile turns page.css and page.js into string literals. */
static const char style[] = "\n"
#include "src/report/page.css.inc"
    ;
static const char script[] = "\n"
#include "src/report/page.js.inc"
    ;

static void base64(FILE *out, const void *bytes, size_t n)
{
    enum { STEP = 3 * 1024 }; /* a multiple of 3: padding only at the end */
    unsigned char text[STEP / 3 * 4 + 1];

    for (size_t at = 0; at < n; at += STEP) {
        const size_t part = n - at < STEP ? n - at : STEP;
        const int length = EVP_EncodeBlock(text, (const unsigned char *)bytes + at, (int)part);
        fwrite(text, 1, (size_t)length, out);
    }
}

/* The policy's expression that allows this script or style by its hash. */
static void policy_hash(FILE *out, const char *text)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;

    if (!EVP_Digest(text, strlen(text), digest, &length, EVP_sha256(), NULL))
        return;
    fputs("'sha256-", out);
    base64(out, digest, length);
    fputs("'", out);
}

/* The policy comes first, so that text that was not escaped by mistake cannot
   run or load anything. */
void html_begin(FILE *out, const char *title)
{
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "base-uri 'none'; form-action 'none'; img-src data:; style-src ",
          out);
    policy_hash(out, style);
    fputs("; script-src ", out);
    policy_hash(out, script);
    fputs("\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n", out);
    fprintf(out, "<style>%s</style>\n<title>", style);
    quote_html(out, title);
    fputs("</title></head><body>\n", out);
}

void html_end(FILE *out)
{
    fprintf(out, "<script>%s</script></body></html>\n", script);
}

/* Files beside the page: they are not found if the page was moved alone. */
static void figure_links(FILE *out, const char *name)
{
    static const char *const kinds[] = { "svg", "png", "pdf", "csv" };
    const int stem = (int)(strrchr(name, '.') - name);

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char file[300];
        (void)snprintf(file, sizeof file, "%.*s.%s", stem, name, kinds[i]);
        fputs("<a download href=\"./", out); /* a name is no URL */
        quote_html(out, file);
        fprintf(out, "\">%s</a> ", kinds[i]);
    }
}

/* An image, not inline SVG: browsers do not run scripts of an image and fetch nothing for it. */
void html_figure(FILE *out, const char *dir, const char *name)
{
    struct error error = { 0 };
    const char *extension = strrchr(name, '.');
    char *svg = NULL;
    size_t bytes;

    if (!extension || strcmp(extension, ".svg") != 0)
        (void)fail(&error, ERR_CORRUPT, "%s: \"%s\" is not the name of an SVG file", dir, name);
    else if (path_read_file(dir, name, &svg, &bytes, &error) == OK) {
        html_text(out, "<figure><img alt=\"", name, "\" src=\"data:image/svg+xml;base64,");
        base64(out, svg, bytes);
        fputs("\"><figcaption>", out);
        figure_links(out, name);
        fputs("</figcaption></figure>\n", out);
    }
    free(svg);
    if (!error.code)
        return;
    html_text(out, "<p class=\"bad\">A figure is not shown: ", error.text, "</p>\n");
}

void html_text(FILE *out, const char *before, const char *text, const char *after)
{
    fputs(before, out);
    quote_html(out, text);
    fputs(after, out);
}

void html_result_link(FILE *out, const json_t *result, size_t number)
{
    fprintf(out, "<tr><td class=\"text\"><a href=\"#result-%zu\">", number);
    html_text(out, "", field_text(json_object_get(result, "experiment"), "name", ""), "</a></td>");
}

void html_cell(FILE *out, const char *text, const char *class)
{
    fprintf(out, "<td class=\"%s\">", class);
    html_text(out, "", text, "</td>");
}

void html_config(FILE *out, const json_t *result)
{
    const json_t *experiment = json_object_get(result, "experiment");
    struct error error = { 0 };
    char *text = NULL, hash[SHA256_HEX_BYTES];
    size_t n = 0;

    if (path_read_file("/", field_text(experiment, "config", ""), &text, &n, &error) == OK &&
        sha256_block(text, n, hash, &error) == OK &&
        strcmp(hash, field_text(experiment, "config_sha256", "")) == 0) {
        html_text(out, "<details><summary>The config</summary><pre>", text, "</pre></details>\n");
    }
    free(text);
}
