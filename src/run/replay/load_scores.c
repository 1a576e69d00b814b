/* load_scores.c - the answers of a load: their sample, and what is asked before and after it. */
#include "src/run/replay/load.h"

/* Scores the final state: recall of the same queries. */
static int score_afterwards(struct load_run *t, struct step_record *s)
{
    struct query_batch *batch = t->batch;
    struct answer_buffer answers = { 0 };
    struct time_mark from;
    int rc = answer_buffer_make(&answers, batch, batch->queries.n);

    time_mark_take(&from);
    if (rc == OK)
        rc = query_batch_search(batch, batch->queries, 0, batch->queries.n, &answers);
    step_take_untimed_search(s, &from, batch->queries.n);
    if (rc == OK)
        rc = answer_buffer_check(&answers, batch, 0, NULL);
    if (rc == OK)
        rc = query_batch_score(batch, PASS_SINGLE, 0, answers.kept, batch->queries.n, NULL);
    answer_buffer_free(&answers);
    return rc;
}

static int score_samples(struct load_run *t, struct step_record *s)
{
    struct sample_set all;
    int rc = sample_set_make(&all, t->batch, t->n_workers);

    for (size_t i = 0; rc == OK && i < t->n_workers; i++) {
        const struct load_worker *w = &t->workers[i];

        if (w->answers.n == 0)
            continue;
        rc = answer_buffer_check(&w->answers, t->batch, 0, NULL);
        if (rc == OK)
            rc = sample_set_add(&all, t->batch, &w->samples);
    }
    step_stat(s, "sampled_answers", (double)all.answers.n);
    if (rc == OK)
        rc = sample_set_score(&all, t->batch);
    sample_set_free(&all);
    return rc;
}

int load_score(struct load_run *t, struct step_record *s)
{
    int rc = OK;

    if (t->batch->k == 0 || t->batch->queries.n == 0)
        return OK;
    if (t->searches)
        rc = score_samples(t, s);
    return rc == OK ? score_afterwards(t, s) : rc;
}

static int ask_warm(void *to, struct query_batch *batch, size_t q)
{
    return query_batch_search(batch, batch->warm, q, 1, to);
}

int load_warm_up(struct load_run *t, struct step_record *s, struct answer_buffer *one)
{
    struct query_batch *batch = t->batch;
    struct time_mark from;
    int rc = answer_buffer_make(one, batch, 1);

    time_mark_take(&from);
    for (size_t q = 0; rc == OK && q < batch->warm.n; q++)
        rc = ask_warm(one, batch, q);
    step_take_untimed_search(s, &from, batch->warm.n);
    return rc;
}

int load_probe(struct load_run *t, struct step_record *s, struct answer_buffer *one)
{
    return query_batch_probe(t->batch, s, t->batch->queries.n, ask_warm, one);
}
