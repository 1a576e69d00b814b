/* html.h - the parts of a page that all its sections use. */
#ifndef DRIFTLINE_REPORT_HTML_H
#define DRIFTLINE_REPORT_HTML_H

#include <jansson.h>
#include <stdio.h>

/* The text before a page's content, and the text after it. */
void html_begin(FILE *, const char *title);
void html_end(FILE *);
/* The SVG file `name` of dir as an image, with links to its other forms beside the page; if it cannot
   be read, the reason as text. */
void html_figure(FILE *, const char *dir, const char *name);
/* The text, quoted, between markup. */
void html_text(FILE *, const char *before, const char *text, const char *after);
/* The first cell of a row: the result's name, which leads to section `number` of the page. */
void html_result_link(FILE *, const json_t *result, size_t number);
/* <td class="...">text</td> */
void html_cell(FILE *, const char *text, const char *class);

/* The text of the config, if the file is still the one that ran. */
void html_config(FILE *, const json_t *result);

#endif
