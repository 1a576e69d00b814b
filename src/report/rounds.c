/* rounds.c - see rounds.h. */
#include "src/report/rounds.h"

#include <math.h>

#include "src/base/json.h"
#include "src/base/table.h"
#include "src/report/html.h"

enum { COLUMNS = 8, CELL_BYTES = 300 };
static const char *const header[COLUMNS] = {
    "a", "b", "operation", "time of b / a", "95 % interval", "replays", "could see", "verdict"
};

static void fill_row(const json_t *entry, char cells[COLUMNS][CELL_BYTES])
{
    const double ratio = field_number(entry, "ratio"), low = field_number(entry, "low"),
                 high = field_number(entry, "high"), could_see = field_number(entry, "could_see");
    snprintf(cells[0], CELL_BYTES, "%s", field_text(entry, "a", ""));
    snprintf(cells[1], CELL_BYTES, "%s", field_text(entry, "b", ""));
    snprintf(cells[2], CELL_BYTES, "%s%s", field_text(entry, "tag", ""),
             json_is_true(json_object_get(entry, "single")) ? ", one at a time" : "");
    snprintf(cells[3], CELL_BYTES, isnan(ratio) ? "-" : "%.3f", ratio);
    if (isnan(low) || isnan(high))
        snprintf(cells[4], CELL_BYTES, "-");
    else
        snprintf(cells[4], CELL_BYTES, "%.3f .. %.3f", low, high);
    snprintf(cells[5], CELL_BYTES, "%lld in %.3g s", field_integer(entry, "replays", 0),
             field_number(entry, "seconds"));
    snprintf(cells[6], CELL_BYTES, isnan(could_see) ? "-" : "%.2g %%", 100 * could_see);
    snprintf(cells[7], CELL_BYTES, "%s", field_text(entry, "verdict", ""));
}

void report_rounds(const json_t *result, FILE *out)
{
    const json_t *compared = json_object_get(result, "compare"), *entry;
    char cells[COLUMNS][CELL_BYTES];
    struct table table;
    size_t i;
    if (!json_array_size(compared))
        return;
    table_init(&table, COLUMNS);
    for (size_t c = 0; c < COLUMNS; c++)
        table_add(&table, "%s", header[c]);
    json_array_foreach(compared, i, entry) {
        fill_row(entry, cells);
        for (size_t c = 0; c < COLUMNS; c++)
            table_add(&table, "%s", cells[c]);
    }
    fputs("\nmeasured alternately, round by round\n", out);
    table_print(&table, out);
    table_free(&table);
}

void html_rounds(FILE *out, const json_t *result)
{
    const json_t *compared = json_object_get(result, "compare"), *entry;
    char cells[COLUMNS][CELL_BYTES];
    size_t i;
    if (!json_array_size(compared))
        return;
    fputs("<h3>Measured alternately, round by round</h3><div class=\"wide\"><table><thead><tr>",
          out);
    for (size_t c = 0; c < COLUMNS; c++)
        fprintf(out, "<th>%s</th>", header[c]);
    fputs("</tr></thead><tbody>\n", out);
    json_array_foreach(compared, i, entry) {
        fill_row(entry, cells);
        fputs("<tr>", out);
        for (size_t c = 0; c < COLUMNS; c++)
            html_cell(out, cells[c], "text");
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}
