/* rounds.c - see rounds.h. */
#include "src/report/rounds.h"

#include <math.h>

#include "src/base/json.h"
#include "src/base/table.h"
#include "src/report/html.h"

/* false, and nothing to free: no rounds were measured. */
static bool fill(struct table *t, const json_t *result)
{
    const json_t *compared = json_object_get(result, "compare"), *entry;
    size_t i;
    if (!json_array_size(compared))
        return false;
    table_begin(t, "a|b|operation|time of b / a|95 % interval|replays|could see|verdict");
    json_array_foreach(compared, i, entry) {
        const double ratio = field_number(entry, "ratio"), low = field_number(entry, "low"),
                     high = field_number(entry, "high"),
                     could_see = field_number(entry, "could_see");
        table_add(t, "%s", field_text(entry, "a", ""));
        table_add(t, "%s", field_text(entry, "b", ""));
        table_add(t, "%s%s", field_text(entry, "tag", ""),
                  json_is_true(json_object_get(entry, "single")) ? ", one at a time" : "");
        table_add(t, isnan(ratio) ? "-" : "%.3f", ratio);
        table_add(t, isnan(low) || isnan(high) ? "-" : "%.3f .. %.3f", low, high);
        table_add(t, "%lld in %.3g s", field_integer(entry, "replays", 0),
                  field_number(entry, "seconds"));
        table_add(t, isnan(could_see) ? "-" : "%.2g %%", 100 * could_see);
        table_add(t, "%s", field_text(entry, "verdict", ""));
    }
    return true;
}

void report_rounds(const json_t *result, FILE *out)
{
    struct table table;
    if (!fill(&table, result))
        return;
    fputs("\nmeasured alternately, round by round\n", out);
    table_end(&table, out);
}

void html_rounds(FILE *out, const json_t *result)
{
    struct table table;
    if (!fill(&table, result))
        return;
    fputs("<h3>Measured alternately, round by round</h3><div class=\"wide\"><table><thead>", out);
    for (size_t i = 0; i < table.n; i++) {
        const bool header = i < table.columns, last = (i + 1) % table.columns == 0;
        fputs(i % table.columns ? "" : "<tr>", out);
        if (header)
            fprintf(out, "<th>%s</th>", table.cells[i]);
        else
            html_cell(out, table.cells[i], "text");
        fputs(!last ? "" : header ? "</tr></thead><tbody>\n" : "</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
    table_free(&table);
}
