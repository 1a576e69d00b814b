/* test_text.c - text files are read completely, or the error says where the problem is and what to
 * write; nothing is skipped silently. */
#include "tests/unit/data/data_files.h"

struct text_case {
    const char *name, *text;
    int id, header;
    const char *expected; /* good: the rows, as "2x2: 1 2 3 4 / note"; bad: pieces of the error */
    int code;
};

static void show(const struct source *s, char *out, size_t bytes)
{
    struct error err = { 0 };
    float row[16];
    size_t used = (size_t)snprintf(out, bytes, "%zux%zu:", s->n, s->dim);
    assert_true(s->dim <= 16 && s->element == INDEX_F32);
    for (size_t i = 0; i < s->n; i++) {
        assert_ok(source_read(s, i, 1, row, &err), &err);
        for (size_t c = 0; c < s->dim; c++)
            used += (size_t)snprintf(out + used, bytes - used, " %g", (double)row[c]);
    }
    if (s->note[0])
        snprintf(out + used, bytes - used, " / %s", s->note);
}

static void try_case(struct scratch *scratch, const struct text_case *c)
{
    struct source *s = NULL;
    struct error err = { 0 };
    char shown[1200];
    const struct file_options options = { .id_column = c->id, .header = c->header };
    const char *path = scratch_write(scratch, c->name, c->text, strlen(c->text));
    const int rc = file_open(path, &options, &s, &err);
    if (rc == OK)
        show(s, shown, sizeof shown);
    else
        snprintf(shown, sizeof shown, "%s: %s", error_name(rc), err.text);
    if (rc != c->code || (rc == OK && strcmp(shown, c->expected)))
        fail_msg("%s \"%s\": expected \"%s\", got \"%s\"", c->name, c->text, c->expected, shown);
    if (rc)
        expect_text(c->name, &err, c->expected);
    source_close(s);
}

static const struct text_case read_cases[] = {
    /* byte order marks, line ends, blank lines */
    { "bom.csv",
      "\xef\xbb\xbf"
      "1,2\n3,4\n",
      0, 0, "2x2: 1 2 3 4", OK },
    { "bom header.csv", "\xef\xbb\xbfx,y\n3,4\n", 0, 0, "1x2: 3 4 / line 1 is a header, skipped",
      OK },
    { "crlf.csv", "1,2\r\n\r\n3,4\r\n\r\n", 0, 0, "2x2: 1 2 3 4", OK },
    { "remark.csv", "# made by hand\n1,2\n# more\n3,4\n", 0, 0, "2x2: 1 2 3 4", OK },
    { "column.txt", "\n1\n2\n5\n\n\n", 0, 0, "3x1: 1 2 5", OK },
    /* separators and decimal marks */
    { "comma.csv", "1, 2\n3 ,4\n", 0, 0, "2x2: 1 2 3 4", OK },
    { "comma.txt", "1, -2.5, 3\n4, 5, 1e-18\n", 0, 0, "2x3: 1 -2.5 3 4 5 1e-18", OK },
    { "tab.tsv", "1\t-2.5\n4\t5\n", 0, 0, "2x2: 1 -2.5 4 5", OK },
    { "blanks.csv", "1 2\n3   4\n", 0, 0, "2x2: 1 2 3 4", OK },
    { "tab.txt", "1\t2\n3\t4\n", 0, 0, "2x2: 1 2 3 4", OK },
    { "mixed.txt", "1\t2   3\n 4 5\t6", 0, 0, "2x3: 1 2 3 4 5 6", OK },
    { "decimal.csv", "1,5;2,25\n3;-4,5\n", 0, 0, "2x2: 1.5 2.25 3 -4.5", OK },
    { "decimal later.csv", "1;2\n3;4,5\n", 0, 0, "2x2: 1 2 3 4.5", OK },
    { "decimal.txt", "1,5;2,25\n3;-4,5\n", 0, 0, "2x2: 1.5 2.25 3 -4.5", OK },
    { "decimal.tsv", "1,5\t2,25\n3\t-4,5\n", 0, 0, "2x2: 1.5 2.25 3 -4.5", OK },
    { "point.csv", "1.5;2.25\n3;4\n", 0, 0, "2x2: 1.5 2.25 3 4", OK },
    /* quotes */
    { "quoted.csv", "\"x\",\"y\"\n\"1\",\"2\"\n3 , \"4\" \n", 0, 0,
      "2x2: 1 2 3 4 / line 1 is a header, skipped", OK },
    { "quoted decimal.csv", "\"1,5\";\"2\"\n\"3\";\"4\"\n", 0, 0, "2x2: 1.5 2 3 4", OK },
    { "quoted names.csv", "\"x, the \"\"first\"\"\",y\n1,2\n3,4\n", 0, 0,
      "2x2: 1 2 3 4 / line 1 is a header, skipped", OK },
    { "quoted word.csv", "\"red, or blue\",1,2\n\"green\",3,4\n", 0, 0,
      "2x2: 1 2 3 4 / column 1 holds words, left out", OK },
    /* ids and words */
    { "id.csv", "id,x,y\n1,2.5,3\n2,3,4\n", 0, 0,
      "2x2: 2.5 3 3 4 / line 1 is a header, skipped; column 1 holds ids, left out", OK },
    { "last.csv", "x,y,ID\n2.5,3,a7\n3,4,\n", 0, 0,
      "2x2: 2.5 3 3 4 / line 1 is a header, skipped; column 3 holds ids, left out", OK },
    { "asked.csv", "1,2.5,3\n2,3,4\n3,5,6\n", 1, 0,
      "3x2: 2.5 3 3 4 5 6 / column 1 holds ids, left out", OK },
    { "asked 2.csv", "5,cat,3\n2,,4\n", 2, 0, "2x2: 5 3 2 4 / column 2 holds ids, left out", OK },
    { "none.csv", "1,2.5\n2,3\n3,5\n", FILE_NO_ID, 0, "3x2: 1 2.5 2 3 3 5", OK },
    { "none label.csv", "label,x\n5,2.5\n4,3\n", FILE_NO_ID, 0,
      "2x2: 5 2.5 4 3 / line 1 is a header, skipped", OK },
    { "label.csv", "label,x\n5,2.5\n4,3\n", 1, 0,
      "2x1: 2.5 3 / line 1 is a header, skipped; column 1 holds ids, left out", OK },
    { "large ids.csv", "id,x\n16777217,1\n16777219,2\n", 0, 0,
      "2x1: 1 2 / line 1 is a header, skipped; column 1 holds ids, left out", OK },
    { "pandas.csv", ",0,1,2\n0,.5,.5,.5\n1,1,1,1\n", 1, 0,
      "2x3: 0.5 0.5 0.5 1 1 1 / line 1 is a header, skipped; column 1 holds ids, left out", OK },
    { "pandas plain.csv", "0,1,2\n5,6,7\n", 0, 1, "1x3: 5 6 7 / line 1 is a header, skipped", OK },
    { "counts.csv", "0,1,2\n5,6,7\n", 0, -1, "2x3: 0 1 2 5 6 7", OK },
    { "words.txt", "the 1 2\n# 3 4\n1984 5 6\n\" 7 8\n", 0, 0,
      "4x2: 1 2 3 4 5 6 7 8 / column 1 holds words, left out", OK },
    { "comma word.txt", ", 1 2\n; 3 4\n", 0, 0, "2x2: 1 2 3 4 / column 1 holds words, left out",
      OK },
    { "tab words.txt", "new york\t1\t2\nrome\t3\t4\n", 0, 0,
      "2x2: 1 2 3 4 / column 1 holds words, left out", OK },
    { "word2vec.vec", "2 3\nthe 1 2 3\n1984 4 5 6\n", 0, 0,
      "2x3: 1 2 3 4 5 6 / line 1 says 2 rows of 3 columns; column 1 holds words, left out", OK },
    { "word2vec numbers.vec", "3 3\n1 2 3\n2 5 6\n3 6 7\n", 0, 0,
      "3x3: 1 2 3 2 5 6 3 6 7 / line 1 says 3 rows of 3 columns", OK },
    { "word2vec flat.vec", "2 2\n1 2\n4 5\n", 0, 1,
      "2x2: 1 2 4 5 / line 1 says 2 rows of 2 columns", OK },
    { "flat.vec", "2 2\n1 2\n4 5\n", 0, -1, "3x2: 2 2 1 2 4 5", OK },
    { "mnist.csv", "label,1x1,1x2\n5,0,255\n4,3,2\n", 1, 0,
      "2x2: 0 255 3 2 / line 1 is a header, skipped; column 1 holds ids, left out", OK },
};

static void reads(void **state)
{
    for (size_t i = 0; i < sizeof read_cases / sizeof *read_cases; i++)
        try_case(*state, &read_cases[i]);
}

static const struct text_case refused_cases[] = {
    { "utf16.csv",
      "\xff\xfe"
      "1",
      0, 0, "utf16.csv: line 1, column 1|UTF-16|UTF-8", ERR_UNSUPPORTED },
    { "mac.csv", "1,2\r3,4\r", 0, 0, "line 1, column 2|is not a number", ERR_CORRUPT },
    /* empty cells: first, in the middle, last, in the first row or later */
    { "empty first.csv", ",2,3\n4,5,6\n7,8,9\n", 0, 0,
      "empty first.csv: line 1, column 1: the cell is empty", ERR_CORRUPT },
    { "empty.csv", "1,,3\n4,5,6\n", 0, 0, "line 1, column 2: the cell is empty", ERR_CORRUPT },
    { "empty last.csv", "1,2,\n4,5,6\n", 0, 0, "line 1, column 3: the cell is empty", ERR_CORRUPT },
    { "empty tab.tsv", "\t2\t3\n4\t5\t6\n", 0, 0, "line 1, column 1: the cell is empty",
      ERR_CORRUPT },
    { "empty tab.txt", "1\t\t3\n\t5\t6\n", 0, 0, "line 1, column 2: the cell is empty",
      ERR_CORRUPT },
    { "end tab.tsv", "1\t2\t\n3\t4\t5\n", 0, 0, "line 1, column 3: the cell is empty",
      ERR_CORRUPT },
    { "empty later.tsv", "1\t2\t3\n4\t\t6\n", 0, 0, "line 2, column 2: the cell is empty",
      ERR_CORRUPT },
    { "empty quoted.csv", "1,2\n\"\",3\n", 0, 0, "line 2, column 1: the cell is empty",
      ERR_CORRUPT },
    { "empty row.csv", "1,2\n,\n", 0, 0, "line 2, column 1: the cell is empty", ERR_CORRUPT },
    { "empty row.tsv", "1\t2\n\t\n", 0, 0, "line 2, column 1: the cell is empty", ERR_CORRUPT },
    { "empty word.csv", "cat,1,2\n,3,4\ndog,5,6\n", 0, 0, "line 2, column 1: the cell is empty",
      ERR_CORRUPT },
    { "hole.txt", "1\n\n3\n", 0, 0, "line 2, column 1: the cell is empty", ERR_CORRUPT },
    /* a missing value, a word, a header with numbers: such rows were once skipped */
    { "na.csv", "1,2,NA\n1,2,3\n", 0, 0, "line 1, column 3: \"NA\" is not a number", ERR_CORRUPT },
    { "na first.csv", "NA,2,3\n1,2,3\n4,5,6\n", 0, 0,
      "line 1, column 1: \"NA\" is not a number, but 2 of 3 rows have one there|id = 1|--id 1",
      ERR_ARGUMENT },
    { "all na.csv", "NA,NA\n1,2\n", 0, 0, "line 1, column 2: \"NA\" is not a number", ERR_CORRUPT },
    { "units.csv", "1kg,2kg\n3,4\n", 0, 0, "line 1, column 2: \"2kg\" is not a number",
      ERR_CORRUPT },
    { "word last.csv", "1,2,x\n1,2,3\n", 0, 0, "line 1, column 3: \"x\" is not a number",
      ERR_CORRUPT },
    { "remark.csv", "1,2 # first\n3,4\n", 0, 0, "line 1, column 2: \"2 # first\" is not",
      ERR_CORRUPT },
    { "two headers.csv", "x,y\nm,kg\n1,2\n", 0, 0, "line 2, column 2|\"kg\" is not a number",
      ERR_CORRUPT },
    { "label.csv", "label,0,1,2\n5,1,2,3\n", 0, 0,
      "line 1 counts its columns (0, 1, 2 ...)|header = true|--header yes", ERR_ARGUMENT },
    { "counts.csv", "0,1,2\n5,6,7\n", 0, 0, "line 1 counts its columns|header = true, or false",
      ERR_ARGUMENT },
    { "counts from 1.csv", "1,2,3,4,5,6,7,8\n3,3,3,3,3,3,3,3\n", 0, 0,
      "counts its columns (1, 2, 3", ERR_ARGUMENT },
    { "remark.txt", "my vectors\n1 2 3\n", 0, 0,
      "line 1 looks like a header, but has 2 columns where line 2 has 3|begin it with #",
      ERR_CORRUPT },
    { "only header.csv", "1,2\n", 0, 1, "only header.csv: holds no line with numbers",
      ERR_CORRUPT },
    { "no header.csv", "x,y\n1,2\n", 0, -1, "line 1, column 2|\"y\" is not a number", ERR_CORRUPT },
    /* first columns that look like ids */
    { "counting.csv", "1,2.5\n2,3\n3,5\n", 0, 0,
      "counting.csv: column 1 counts the rows (1, 2, 3 ...)|id = 1|id = 0|--id 1", ERR_ARGUMENT },
    { "counting.txt", "0 2.5\n1 3\n2 5\n3 4\n", 0, 0, "column 1 counts the rows (0, 1, 2 ...)",
      ERR_ARGUMENT },
    { "row.csv", "n,x\n1,2.5\n2,3\n3,5\n", 0, 0, "column 1 counts the rows", ERR_ARGUMENT },
    { "label first.csv", "label,x\n5,2.5\n4,3\n", 0, 0,
      "line 1 calls column 1 \"label\"|id = 1|id = 0", ERR_ARGUMENT },
    { "class last.csv", "x,y,Class\n5,2.5,1\n4,3,0\n", 0, 0,
      "line 1 calls column 3 \"Class\"|id = 3", ERR_ARGUMENT },
    { "photo.csv", "photo_id,x\n5,2.5\n4,3\n", 0, 0, "calls column 1 \"photo_id\"", ERR_ARGUMENT },
    { "pandas.csv", ",0,1,2\n0,.5,.5,.5\n1,1,1,1\n", 0, 0, "line 1 calls column 1 \"\"|id = 1",
      ERR_ARGUMENT },
    { "two.csv", "id,x,label\n5,2.5,1\n4,3,1\n", 0, 0,
      "calls column 3 \"label\" next to the id in column 1", ERR_ARGUMENT },
    { "far.csv", "1,2\n3,4\n", 3, 0, "id = 3, but line 1 has 2 columns", ERR_ARGUMENT },
    { "alone.csv", "1\n3\n", 1, 0, "id = 1, but line 1 has 1 column;", ERR_ARGUMENT },
    { "word.csv", "cat,1\ndog,2\n", FILE_NO_ID, 0, "line 1, column 1|\"cat\" is not a number",
      ERR_CORRUPT },
    { "flat.vec", "2 2\n1 2\n4 5\n", 0, 0, "word2vec's header of 2 rows|header = true or false",
      ERR_ARGUMENT },
    /* separators that are none */
    { "pipe.txt", "1|2\n3|4\n", 0, 0, "line 1, column 1: \"1|2\" is not a number; \"",
      ERR_CORRUPT },
    { "pipe 2.txt", "1|2\n", 0, 0,
      "\" does not separate columns; expected numbers separated by blanks", ERR_CORRUPT },
    { "colon.txt", "1:2\n", 0, 0,
      "line 1, column 1: \"1:2\" is not a number; \":\" does not separate columns", ERR_CORRUPT },
    { "nbsp.txt",
      "1\xc2\xa0"
      "2\n",
      0, 0, "is not a number; a no-break space does not separate columns", ERR_CORRUPT },
    { "slash.csv", "1,2/3\n4,5\n", 0, 0,
      "line 1, column 2: \"2/3\" is not a number; \"/\" does not separate columns", ERR_CORRUPT },
    { "word.txt", "none\n", 0, -1, "line 1, column 1: \"none\" is not a number", ERR_CORRUPT },
    /* not a number, or not the number it looks like */
    { "decimal.csv", "1,5 2,5\n3,5 4,5\n", 0, 0, "line 1, column 2|\"5 2\" is not a number",
      ERR_CORRUPT },
    { "decimal.txt", "1,5 2,5\n3,5 4,5\n", 0, 0, "is not a number", ERR_CORRUPT },
    { "both.csv", "1,5;2\n3;4.5\n", 0, 0,
      "line 2, column 2: a decimal point, but line 1 has a decimal comma", ERR_CORRUPT },
    { "thousands.csv", "1.000,5;2\n3;4\n", 0, 0, "line 1, column 1: \"1.000,5\" is not a number",
      ERR_ARGUMENT },
    { "thousands quoted.csv", "1,\"2,000\"\n3,4\n", 0, 0,
      "line 1, column 2: \"2,000\" is not a number; a decimal comma is read where semicolons",
      ERR_CORRUPT },
    { "hex.csv", "1,2\n0x10,2\n", 0, 0, "line 2, column 1: \"0x10\" is not a number", ERR_CORRUPT },
    { "large.csv", "1,2\n3,16777217\n", 0, 0,
      "line 2, column 2: a whole number that f32 does not hold|id = 2", ERR_DIMENSION },
    { "nan.csv", "x,y\n1,2\n3,nan\n", 0, 0, "line 3 (row 2, column 2) is NaN", ERR_NOT_FINITE },
    { "inf.csv", "id,x\n1,2\n3,1e99\n", 0, 0, "line 3 (row 2, column 2) is infinite",
      ERR_NOT_FINITE },
    { "open.csv", "1,2\n\"3,4\n", 0, 0, "line 2, column 1: the quotes around", ERR_CORRUPT },
    { "behind.csv", "1,2\n\"3\"x,4\n", 0, 0, "line 2, column 1: the quotes around \"3\" do not",
      ERR_CORRUPT },
};

static void refuses(void **state)
{
    for (size_t i = 0; i < sizeof refused_cases / sizeof *refused_cases; i++)
        try_case(*state, &refused_cases[i]);
}

/* The header of labels, times and ids may have any words, and the nearest id of query i may be i. */
static void numbers_have_any_name(void **state)
{
    static const struct {
        const char *name, *text;
        size_t dim;
        double first;
    } cases[] = {
        { "ids.csv", "id\n5\n6\n", 1, 5 },
        { "labels.csv", "label\n2\n3\n", 1, 2 },
        { "label of ids.csv", "id,x\n5,2\n6,3\n", 1, 2 },
        { "answers.csv", "0,7\n1,0\n2,9\n3,4\n", 2, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct source *s = NULL;
        struct error err = { 0 };
        double row[2];
        const char *path =
            scratch_write(*state, cases[i].name, cases[i].text, strlen(cases[i].text));
        assert_ok(file_open(path, &(struct file_options){ .numbers = true }, &s, &err), &err);
        assert_int_equal(s->dim, cases[i].dim);
        assert_int_equal(s->element, ELEMENT_F64);
        assert_ok(source_read(s, 0, 1, row, &err), &err);
        assert_true(row[0] == cases[i].first);
        source_close(s);
    }
}

static void options_are_for_text(void **state)
{
    struct source *s = NULL;
    const float rows[4] = { 1, 2, 3, 4 };
    const char *path = scratch_write(*state, "a.f32", rows, sizeof rows);
    const struct file_options options[] = { { .id_column = 1 }, { .header = 1 }, { .header = -1 } };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct error err = { 0 };
        assert_int_equal(file_open(path, &options[i], &s, &err), ERR_ARGUMENT);
        expect_text("options", &err, "a.f32: id and header are for text, this is raw");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(refuses),
        cmocka_unit_test(numbers_have_any_name),
        cmocka_unit_test(options_are_for_text),
    };
    return scratch_run("data_text", tests);
}
