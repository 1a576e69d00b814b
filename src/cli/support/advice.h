/* advice.h - the state of `advise`, and what it says at the end. */
#ifndef DRIFTLINE_CLI_SUPPORT_ADVICE_H
#define DRIFTLINE_CLI_SUPPORT_ADVICE_H

#include <limits.h>

#include "src/cli/support/app.h"
#include "src/ranking/ranking.h"

enum { STUDY_ROUNDS = 8, STUDY_QUERIES = 1000 };

struct study_round {
    char name[24];
    size_t rows, builds;
};

struct study {
    struct app *app;
    char data[PATH_MAX]; /* a name of the catalog, or an absolute path */
    char *dir;
    const char *workload;
    char runbook[PATH_MAX];                  /* absolute path of a workload that is a file */
    double began_s, seconds, pair_s, recall; /* pair_s: for paired rounds */
    size_t rows;                             /* of the data */
    struct study_round rounds[STUDY_ROUNDS];
    size_t n;               /* rounds that were run */
    struct result result;   /* of the last one */
    struct ranking ranking; /* of it */
    /* The best and its rival, measured once more; empty: they were not. */
    struct result again_result;
    struct ranking again;
    bool usage;             /* the config refused its settings */
    json_t *seconds_before; /* of each label's cell in the round before */
    char *keep;             /* labels of the next round, separated by "; "; NULL: all */
    size_t rival;           /* the best of another family, in the last ranking; 0: there is none */
    const json_t *pair;     /* the comparison of the two; NULL: not measured */
    /* Of the two, as the data change from day to day; empty: not measured. points: as own.lua takes them. */
    struct result life;
    char points[820];
    size_t days, days_rows; /* days_rows: held at a time */
};

/* Prints the builds without a rank, each with the reason. */
void app_advice_failed(const struct study *, FILE *);
/* Prints what the days did to each method, and when to build it again. */
int app_advice_days(const struct study *, FILE *, struct error *);
/* Writes advice.md and advice.lua into the study's folder, and prints the first on stdout. */
int app_advice_give(const struct study *, struct error *);

#endif
