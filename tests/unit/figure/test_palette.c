/* test_palette.c - the colours of plots/style.gp are told apart in grey and by the colour-blind. */
#include "src/base/path.h"
#include "tests/support/testing.h"

enum { COLOURS = 8 };

static void read_palette(double rgb[COLOURS][3])
{
    struct error error = { 0 };
    size_t bytes, n = 0;
    char *text;

    assert_int_equal(path_read_file("plots", "style.gp", &text, &bytes, &error), OK);
    for (const char *at = strstr(text, "array HUE[8]"); n < COLOURS && (at = strstr(at, "0x"));
         at += 2, n++) {
        const unsigned long colour = strtoul(at, NULL, 16);
        for (int c = 0; c < 3; c++) { /* linear light, of sRGB */
            const double v = (double)(colour >> (16 - 8 * c) & 255) / 255;
            rgb[n][c] = v <= .04045 ? v / 12.92 : pow((v + .055) / 1.055, 2.4);
        }
    }
    assert_int_equal(n, COLOURS);
    free(text);
}

/* CIE L*a*b* of a colour as an eye sees it. */
static void lab_of(const double eye[3][3], const double rgb[3], double lab[3])
{
    static const double xyz[3][3] = { { .4339, .3762, .1899 },
                                      { .2126, .7152, .0722 },
                                      { .0177, .1095, .8728 } };
    double seen[3], f[3];

    for (int i = 0; i < 3; i++) {
        seen[i] = eye[i][0] * rgb[0] + eye[i][1] * rgb[1] + eye[i][2] * rgb[2];
        seen[i] = fmin(fmax(seen[i], 0), 1);
    }
    for (int i = 0; i < 3; i++) {
        const double t = xyz[i][0] * seen[0] + xyz[i][1] * seen[1] + xyz[i][2] * seen[2];
        f[i] = t > .008856 ? cbrt(t) : 7.787 * t + 16.0 / 116;
    }
    lab[0] = 116 * f[1] - 16;
    lab[1] = 500 * (f[0] - f[1]);
    lab[2] = 200 * (f[1] - f[2]);
}

static void test_colours_differ(void **state)
{
    /* Machado, Oliveira, Fernandes 2009, severity 1. Colours 2.3 apart are just told apart side by side. */
    static const struct {
        const char *name;
        double eye[3][3];
    } eyes[] = {
        { "all", { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } } },
        { "protanopia",
          { { .152286, 1.052583, -.204868 },
            { .114503, .786281, .099216 },
            { -.003882, -.048116, 1.051998 } } },
        { "deuteranopia",
          { { .367322, .860646, -.227968 },
            { .280085, .672501, .047413 },
            { -.011820, .042940, .968881 } } },
        { "tritanopia",
          { { 1.255528, -.076749, -.178779 },
            { -.078411, .930809, .147602 },
            { .004733, .691367, .303900 } } },
    };
    double rgb[COLOURS][3];
    read_palette(rgb);
    for (size_t e = 0; e < sizeof eyes / sizeof *eyes; e++)
        for (int i = 0; i < COLOURS; i++)
            for (int j = 0; j < i; j++) {
                double a[3], b[3];
                lab_of(eyes[e].eye, rgb[i], a);
                lab_of(eyes[e].eye, rgb[j], b);
                const double apart =
                    sqrt(pow(a[0] - b[0], 2) + pow(a[1] - b[1], 2) + pow(a[2] - b[2], 2));
                if (apart < 15)
                    fail_msg("%s: colours %d and %d are %.1f apart", eyes[e].name, j, i, apart);
                if (e == 0 && fabs(a[0] - b[0]) < 6)
                    fail_msg("in grey, colours %d and %d are %.1f apart", j, i, fabs(a[0] - b[0]));
                assert_true(a[0] < 75 && b[0] < 75); /* on white paper */
            }
}

int main(void)
{
    return test_run_all("palette", test_colours_differ);
}
