/* text_shape.c - finds separator, header and id column in the first one or two lines, or takes them
 * from the options.
 *
 * The separator is the one that splits the first row into numbers. A header is a line before it
 * without any number, or word2vec's "rows columns". If two readings are possible, the error states
 * the option to set.
 */
#include "src/data/readers/text_shape.h"

#include <stdio.h>
#include <string.h>

#include "src/core/append_text.h"

/* Fewer columns may count up by chance. */
enum { COUNTS_FROM_0 = 3, COUNTS_FROM_1 = 8 };
enum { LONGEST_SEPARATOR = 4 }; /* bytes */

/* The cells of a line, split by one separator. */
struct shape_reading {
    size_t cells, numbers;
    size_t bad; /* the first column that should be a number and is not; 0: none */
    struct text_cell bad_cell;
    bool first_is_number, first_is_empty;
    /* Number of cells that count start, start + 1 ..., where a first cell that is not a number is
       skipped; 0 unless all do. */
    size_t counted, start;
};

struct search {
    const char *name;
    const struct file_options *options;
    struct text_line header; /* header.at NULL: there is none */
    struct text_shape *shape;
    struct error *err;
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+';
}

/* The characters between the first two numbers of the cell, such as | in 1|2; none: n is 0. */
static struct text_cell found_separator(struct text_cell cell)
{
    const char *at = cell.at, *end = cell.at + cell.n;
    while (at < end && in_number(*at))
        at++;
    const char *after = at;
    while (after < end && !in_number(*after))
        after++;
    const bool between = at > cell.at && after < end && after - at <= LONGEST_SEPARATOR;
    return (struct text_cell){ .at = at, .n = between ? (size_t)(after - at) : 0 };
}

int text_shape_no_number(const char *name, size_t line, size_t column, struct text_cell cell,
                         struct error *err)
{
    const int shown = (int)(cell.n < 40 ? cell.n : 40);
    struct text_number number;
    if (cell.unclosed)
        return fail(err, ERR_CORRUPT,
                    "%s: line %zu, column %zu: the quotes around \"%.*s\" do not match", name, line,
                    column, shown, cell.at);
    if (!cell.n)
        return fail(err, ERR_CORRUPT,
                    "%s: line %zu, column %zu: the cell is empty, a number was expected", name,
                    line, column);
    const struct text_cell found = found_separator(cell);
    const bool no_break = found.n == 2 && !memcmp(found.at, "\xc2\xa0", 2);
    char separator[LONGEST_SEPARATOR + 3];
    (void)snprintf(separator, sizeof separator, "\"%.*s\"", (int)found.n, found.at ? found.at : "");
    if (found.n && (unsigned char)*found.at > ' ' && !strchr(",;", *found.at) &&
        !is_letter(*found.at))
        return fail(
            err, ERR_CORRUPT,
            "%s: line %zu, column %zu: \"%.*s\" is not a number; %s does not separate columns",
            name, line, column, shown, cell.at, no_break ? "a no-break space" : separator);
    return fail(err, ERR_CORRUPT, "%s: line %zu, column %zu: \"%.*s\" is not a number%s", name,
                line, column, shown, cell.at,
                text_cell_number(cell, true, false, &number)
                    ? "; a decimal comma is read where semicolons or tabs separate columns"
                    : "");
}

/* The column whose header is that name; 0: none. */
static size_t header_column(const struct search *s, char separator, const char *name)
{
    struct text_line rest = s->header;
    struct text_cell cell;
    for (size_t column = 1; text_cell_next(&rest, separator, &cell); column++)
        if (text_cell_is(cell, name))
            return column;
    return 0;
}

/* The column of ids by the options, else by the header; 0: neither states one. */
static size_t stated_id(const struct search *s, char separator)
{
    if (s->options->id_column)
        return s->options->id_column > 0 ? (size_t)s->options->id_column : 0;
    return header_column(s, separator, "id");
}

static struct shape_reading read_under(const struct search *s, struct text_line line,
                                       char separator)
{
    const struct text_shape under = { .separator = separator };
    const size_t given = stated_id(s, separator);
    const size_t may_be_text = given || s->options->id_column ? given : 1;
    struct shape_reading r = { .cells = 0 };
    struct text_cell cell, only = { .at = NULL };
    bool counts = true;
    while (text_cell_next(&line, separator, &cell)) {
        struct text_number number = { 0 };
        const bool is_number = text_cell_number(cell, text_shape_commas(&under), true, &number);
        const size_t column = ++r.cells;
        r.numbers += is_number;
        if (column == 1) {
            only = cell;
            r.first_is_number = is_number;
            r.first_is_empty = !cell.n;
        }
        if (!is_number && !r.bad &&
            (column != may_be_text || cell.unclosed || (!given && !cell.n))) {
            r.bad = column;
            r.bad_cell = cell;
        }
        if (column == 1 && !is_number)
            continue; /* the header of an id column, next to a counting header */
        if (!r.counted)
            r.start = number.value == 1;
        counts = counts && is_number && number.value == (double)(r.start + r.counted);
        r.counted++;
    }
    r.counted = counts ? r.counted : 0;
    if (!r.bad && r.cells == 1 && !r.first_is_number) {
        r.bad = 1;
        r.bad_cell = only;
    }
    return r;
}

static bool has(struct text_line l, char separator)
{
    for (const char *p = l.at; p < l.end; p++)
        if (*p == separator || (separator == ' ' && *p == '\t'))
            return true;
    return false;
}

/* Whether tabs separate numbers and empty cells only: with blanks as the separator the empty cells
   would be lost. */
static bool tabs_leave_cells_empty(const struct search *s, struct text_line line)
{
    const struct shape_reading r = read_under(s, line, '\t');
    struct text_cell cell;
    size_t empty = 0;
    while (text_cell_next(&line, '\t', &cell))
        empty += !cell.n;
    return empty && empty + r.numbers == r.cells;
}

/* Chooses the separator that makes the line a row, trying that of the file's suffix first; false
   if none does. */
static bool choose_separator(const struct search *s, struct text_line line, struct shape_reading *r)
{
    const bool csv = layout_name_ends(s->name, ".csv"), tsv = layout_name_ends(s->name, ".tsv");
    const char *const order = csv ? ";,\t " : tsv ? ";\t ," : ";\t ,";
    char *const chosen = &s->shape->separator;
    while (line.at < line.end && line.end[-1] == ' ')
        line.end--;
    *chosen = '\0';
    for (const char *p = order; *p; p++) {
        if (!has(line, *p) || (*p == ' ' && tabs_leave_cells_empty(s, line)))
            continue;
        *r = read_under(s, line, *p);
        if (!r->bad) {
            *chosen = *p;
            return true;
        }
        if (!*chosen || r->numbers > read_under(s, line, *chosen).numbers)
            *chosen = *p;
    }
    if (!*chosen)
        *chosen = csv ? ',' : tsv ? '\t' : ' ';
    *r = read_under(s, line, *chosen);
    return !r->bad;
}

/* The next line that is neither blank nor a # comment. */
static bool next_content(struct text_lines *lines, struct text_line *line)
{
    while (text_line_next(lines, line)) {
        const char *p = text_line_start(line);
        if (p < line->end && *p != '#')
            return true;
    }
    return false;
}

static int no_row(const struct search *s, struct text_line line, const struct shape_reading *r)
{
    struct error inner = { 0 };
    text_shape_no_number(s->name, line.number, r->bad, r->bad_cell, &inner);
    return fail(
        s->err, ERR_CORRUPT,
        "%.400s; expected numbers separated by blanks, commas, tabs or semicolons, after at "
        "most one header line and one word a row",
        inner.text);
}

/* 1. The header */

/* Whether the line is a word2vec header such as "400000 300": two whole numbers, and the next line
   has 300 numbers, or a word and 300 numbers. */
static bool word2vec_header(struct search *s, struct text_line header, struct text_lines ahead,
                            size_t *dim)
{
    char text[64], extra;
    unsigned long long rows, columns;
    const size_t n = (size_t)(header.end - header.at);
    if (s->options->header < 0 || n >= sizeof text || *header.at < '0' || *header.at > '9' ||
        memchr(header.at, 0, n))
        return false;
    memcpy(text, header.at, n);
    text[n] = '\0';
    if (text[strspn(text, "0123456789 ")] ||
        sscanf(text, "%llu %llu %c", &rows, &columns, &extra) != 2 || !rows || !columns)
        return false;
    struct text_line second;
    struct shape_reading r;
    if (!next_content(&ahead, &second) || !choose_separator(s, second, &r))
        return false;
    const bool plain = r.cells == columns && (columns != 2 || s->options->header > 0);
    if (r.cells != columns + 1 && !plain)
        return false;
    s->shape->promised_rows = (size_t)rows;
    *dim = (size_t)columns;
    return true;
}

/* Whether the cell can be a column name: not a missing value, and not like a number. */
static bool is_name(struct text_cell cell)
{
    static const char *const missing[] = { "na", "n/a", "null", "none", "nil", "-", "?" };
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        if (text_cell_is(cell, missing[i]))
            return false;
    const size_t sign = cell.n && strchr("+-.", *cell.at) ? 1 : 0;
    return cell.n > sign && (cell.at[sign] < '0' || cell.at[sign] > '9');
}

/* Whether the line has names and no number, or is a header of pandas: "", 0, 1, 2 ... */
static bool is_header(const struct search *s, struct text_line line)
{
    const char separator = s->shape->separator;
    const struct shape_reading r = read_under(s, line, separator);
    struct text_cell cell;
    size_t names = 0;
    if (r.first_is_empty && r.counted && !r.start)
        return true;
    while (text_cell_next(&line, separator, &cell))
        names += is_name(cell);
    return !r.numbers && names;
}

/* If the first line is a header, moves it to s->header and sets *line to the next line. */
static int find_header(struct search *s, struct text_lines *lines, struct text_line *line)
{
    struct shape_reading first, second;
    const bool fits = choose_separator(s, *line, &first);
    const int asked = s->options->header;
    const size_t enough = first.start ? COUNTS_FROM_1 : COUNTS_FROM_0;
    if (fits && !asked && !first.first_is_empty && first.counted >= enough)
        return fail(s->err, ERR_ARGUMENT,
                    "%s: line %zu counts its columns (%zu, %zu, %zu ...), as a header does; set "
                    "header = true, or false if it is a row (convert: --header yes or no)",
                    s->name, line->number, first.start, first.start + 1, first.start + 2);
    const bool unnamed = first.first_is_empty && !first.start && first.counted >= COUNTS_FROM_0;
    if (asked < 0 || (fits && !asked && !unnamed))
        return fits ? OK : no_row(s, *line, &first);
    struct text_line header = *line;
    if (!next_content(lines, line))
        return first.bad && (first.numbers || !is_header(s, header))
                   ? no_row(s, header, &first)
                   : fail(s->err, ERR_CORRUPT, "%s: holds no line with numbers", s->name);
    s->header = header;
    const bool row = choose_separator(s, *line, &second);
    if (asked > 0 || is_header(s, header))
        return row ? OK : no_row(s, *line, &second);
    s->header.at = NULL;
    if (row)
        first = read_under(s, header, s->shape->separator);
    return no_row(s, header, &first);
}

/* 2. The id column */

/* Whether a column of this name is seldom a component. */
static bool names_no_component(struct text_cell cell)
{
    static const char *const names[] = { "",     "id",    "ids",    "index", "idx",    "key",
                                         "row",  "label", "labels", "class", "target", "name",
                                         "word", "token", "uuid",   "guid" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_cell_is(cell, names[i]))
            return true;
    const struct text_cell tail = { .at = cell.at + (cell.n > 3 ? cell.n - 3 : 0), .n = 3 },
                           head = { .at = cell.at, .n = 8 };
    return (cell.n > 3 && (text_cell_is(tail, "_id") || text_cell_is(tail, "-id") ||
                           text_cell_is(tail, " id"))) ||
           (cell.n >= 8 && text_cell_is(head, "unnamed:"));
}

static int check_names(const struct search *s)
{
    struct text_line rest = s->header;
    struct text_cell cell;
    size_t column = 1;
    for (; text_cell_next(&rest, s->shape->separator, &cell); column++) {
        const int shown = (int)(cell.n < 40 ? cell.n : 40);
        if (column == s->shape->id || s->options->id_column < 0 || !names_no_component(cell) ||
            (s->options->numbers && s->shape->columns == 1))
            continue;
        if (s->shape->id)
            return fail(
                s->err, ERR_ARGUMENT,
                "%s: line %zu calls column %zu \"%.*s\" next to the id in column %zu; only one "
                "column can be left out, take the other out of the file",
                s->name, s->header.number, column, shown, cell.at, s->shape->id);
        return fail(s->err, ERR_ARGUMENT,
                    "%s: line %zu calls column %zu \"%.*s\"; set id = %zu if it is an id or label, "
                    "or id = 0 if it is a component (convert: --id %zu or 0)",
                    s->name, s->header.number, column, shown, cell.at, column, column);
    }
    if (column - 1 == s->shape->columns)
        return OK;
    return fail(s->err, ERR_CORRUPT,
                "%s: line %zu looks like a header, but has %zu columns where line %zu has %zu; "
                "begin it with # if it is a remark",
                s->name, s->header.number, column - 1, s->shape->first.number, s->shape->columns);
}

static int find_id(struct search *s, const struct shape_reading *r)
{
    struct text_shape *shape = s->shape;
    /* A lone column of ids or labels is what the file is read for. */
    const bool lone = s->options->numbers && r->cells == 1;
    const bool asked = s->options->id_column != 0;
    const size_t stated = lone && !asked ? 0 : stated_id(s, shape->separator);
    shape->columns = r->cells;
    shape->id = stated || asked ? stated : r->first_is_number ? 0 : 1;
    shape->id_is_word = shape->id && !asked && !stated;
    if (shape->id && (shape->id > r->cells || r->cells < 2))
        return fail(
            s->err, ERR_ARGUMENT,
            "%s: id = %zu, but line %zu has %zu column%s; a row needs a number next to its id",
            s->name, shape->id, shape->first.number, r->cells, r->cells == 1 ? "" : "s");
    return s->header.at ? check_names(s) : OK;
}

static void write_note(const struct search *s, size_t dim, char *note, size_t bytes)
{
    note[0] = '\0';
    if (s->shape->promised_rows)
        append_text(note, bytes, "; ", "line %zu says %zu rows of %zu columns", s->header.number,
                    s->shape->promised_rows, dim);
    else if (s->header.at)
        append_text(note, bytes, "; ", "line %zu is a header, skipped", s->header.number);
    if (s->shape->id)
        append_text(note, bytes, "; ", "column %zu holds %s, left out", s->shape->id,
                    s->shape->id_is_word ? "words" : "ids");
}

int text_shape_find(const char *name, const struct file_options *options, struct text_lines *lines,
                    struct text_shape *shape, struct row_layout *l, struct error *err)
{
    struct search s = { .name = name, .options = options, .shape = shape, .err = err };
    struct text_line line;
    struct shape_reading r;
    size_t promised = 0;
    int rc = OK;
    *shape = (struct text_shape){ .separator = ' ' };
    if (!next_content(lines, &line))
        return fail(err, ERR_CORRUPT, "%s: holds no line with numbers", name);
    if (word2vec_header(&s, line, *lines, &promised)) {
        const size_t header = line.number;
        next_content(lines, &line);
        s.header.number = header;
    } else {
        rc = find_header(&s, lines, &line);
    }
    if (rc)
        return rc;
    shape->first = line;
    if (!choose_separator(&s, line, &r))
        return no_row(&s, line, &r);
    rc = find_id(&s, &r);
    if (promised && !rc && !options->id_column) {
        shape->id = r.cells == promised + 1 ? 1 : 0;
        shape->id_is_word = shape->id;
    }
    l->dim = shape->columns - (shape->id ? 1 : 0);
    if (promised && !rc && l->dim != promised)
        return fail(err, ERR_CORRUPT, "%s: line %zu says %zu columns, line %zu has %zu", name,
                    s.header.number, promised, line.number, l->dim);
    write_note(&s, l->dim, l->note, sizeof l->note);
    return rc;
}
