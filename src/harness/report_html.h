/* report_html.h - pieces that every part of the page is made of. */
#ifndef DRIFTLINE_REPORT_HTML_H
#define DRIFTLINE_REPORT_HTML_H

#include <jansson.h>
#include <stdio.h>

/* report_page.c: all before the content and all after it. */
void html_begin(FILE *, const char *title);
void html_end(FILE *);
/* The SVG file NAME of dir as an image, or why it is not shown. */
void html_figure(FILE *, const char *dir, const char *name);
/* <td class="...">text</td> */
void html_cell(FILE *, const char *text, const char *class);

/* report_statements.c: what was published and claimed, beside what was measured.
 *
 * The comment that the config opens with, in paragraphs. */
void html_about(FILE *, const json_t *result);
/* The publication's claims, then the config's own, each with its numbers. */
void html_claims(FILE *, const json_t *result);
void html_published(FILE *, const json_t *result);
/* One table of every claim of n results, with links to their sections (#result-1 ..). */
void html_overview(FILE *, json_t *const *results, size_t n);

#endif
