/* report_page.c - the frame of a page, which allows nothing but itself, and its pictures. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "harness/quote.h"
#include "harness/report_html.h"
#include "harness/whole_file.h"

static const char style[] =
    "\n"
    ":root{--ink:#1a1a1a;--soft:#5c5c5c;--line:#d8d8d8;--page:#fdfdfc;--card:#fff;--good:#00704a;--"
    "bad:#b03a00}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8e6e3;--soft:#a5a19b;--line:#3b3b3b;--page:#"
    "161616;"
    "--card:#1f1f1f;--good:#4fc08d;--bad:#ff9b66}}\n"
    "body{font:15px/1.5 "
    "system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:72rem;"
    "margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.3rem;margin:3rem 0 "
    ".2rem;border-top:1px "
    "solid var(--line);padding-top:1.2rem}h3{font-size:1.05rem;margin-top:1.8rem}\n"
    ".about{max-width:60rem}a{color:inherit}.numbers{font-size:.8rem;color:var(--soft)}\n"
    ".soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-"
    "size:.87rem}\n"
    "th,td{padding:.25rem .7rem;border-bottom:1px solid "
    "var(--line);text-align:right;white-space:nowrap}\n"
    "th:first-child,td:first-child,td.text,th.text{text-align:left}td.wrap{white-space:normal;text-"
    "align:left;min-width:16rem}\n"
    "thead th{cursor:pointer;position:sticky;top:0;background:var(--page)}\n"
    "figure{margin:1.2rem 0;padding:.6rem;background:#fff;border:1px solid "
    "var(--line);border-radius:6px;"
    "overflow-x:auto}figure img{max-width:100%;height:auto}\n"
    "code{font-size:.9em}details{margin-top:1rem}td small{color:var(--soft)}\n";

static const char script[] =
    "\n"
    "for(const th of document.querySelectorAll('thead th'))th.addEventListener('click',()=>{\n"
    " const "
    "body=th.closest('table').tBodies[0],i=[...th.parentNode.children].indexOf(th),up=th.dataset."
    "up!=='1';\n"
    " th.dataset.up=up?'1':'0';const key=r=>{const c=r.cells[i],v=c.dataset.v;return "
    "v===undefined?c.textContent:+v};\n"
    " [...body.rows].sort((a,b)=>{const x=key(a),y=key(b);const d=typeof x==='number'&&typeof "
    "y==='number'?x-y:"
    "String(x).localeCompare(String(y));return up?d:-d}).forEach(r=>body.append(r))});\n";

static void base64(FILE *out, const void *bytes, size_t n)
{
    enum { STEP = 3 * 1024 }; /* a multiple of 3, so that the parts join */
    unsigned char text[STEP / 3 * 4 + 1];

    for (size_t at = 0; at < n; at += STEP) {
        const size_t part = n - at < STEP ? n - at : STEP;
        const int length = EVP_EncodeBlock(text, (const unsigned char *)bytes + at, (int)part);
        fwrite(text, 1, (size_t)length, out);
    }
}

/* A policy's name for the one text that may run, or style the page. */
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

/* The policy stands before all else: whatever got into the page by a mistake of ours neither runs
   nor is fetched. */
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

/* As an image, not inline: a browser runs no script of an image and fetches nothing for it. */
void html_figure(FILE *out, const char *dir, const char *name)
{
    struct error error = { 0 };
    const char *extension = strrchr(name, '.');
    char *svg = NULL;
    size_t bytes;

    if (!extension || strcmp(extension, ".svg") != 0)
        (void)fail(&error, ERR_CORRUPT, "%s: \"%s\" is no name of an SVG file", dir, name);
    else if (read_own_file(dir, name, &svg, &bytes, &error) == OK) {
        fputs("<figure><img alt=\"", out);
        quote_html(out, name);
        fputs("\" src=\"data:image/svg+xml;base64,", out);
        base64(out, svg, bytes);
        fputs("\"></figure>\n", out);
    }
    free(svg);
    if (!error.code)
        return;
    fputs("<p class=\"bad\">A figure is not shown: ", out);
    quote_html(out, error.text);
    fputs("</p>\n", out);
}
