/* test_language.c - language.def: its rows are complete, and its defaults match
   those of the code. */
#include "tests/support/config_desk.h"
#include "tests/unit/config/snippets.h"

#include "src/config/script/language.h"

static void test_rows(void **state)
{
    for (const struct lua_word *word = lua_language; word->name; word++) {
        if (word->kind == WORD_SECTION || word->kind == WORD_HIDDEN_KEY)
            continue;
        if (!word->usage || !*word->usage || !word->help || !*word->help)
            fail_msg("%s: no usage, type or help", word->name);
        if (word->kind == WORD_KEY && !word->otherwise)
            fail_msg("%s: no default", word->name);
        for (const struct lua_word *other = lua_language; other < word; other++)
            if (other->call == word->call && other->kind != WORD_SECTION &&
                (other->kind == WORD_CALL) == (word->kind == WORD_CALL) &&
                strcmp(other->name, word->name) == 0)
                fail_msg("%s stands there twice", word->name);
    }
    assert_string_equal(lua_call_member(CALL_W_SEARCH), "search");
    assert_string_equal(lua_call_member(CALL_W_RNG_INT), "int");
    assert_string_equal(lua_call_member(CALL_R_RATIO), "ratio");
    assert_true(lua_has_key(CALL_W_SEARCH, "tag"));
    assert_false(lua_has_key(CALL_LIST, "tag"));
}

/* The documented default, a number or a boolean. */
static double default_of(enum lua_call call, const char *key)
{
    for (const struct lua_word *word = lua_language; word->name; word++) {
        char *end;
        if (word->kind != WORD_KEY || word->call != call || strcmp(word->name, key) != 0)
            continue;
        if (strcmp(word->otherwise, "true") == 0 || strcmp(word->otherwise, "false") == 0)
            return *word->otherwise == 't';
        const double value = strtod(word->otherwise, &end);
        if (end == word->otherwise || *end)
            fail_msg("%s: the default \"%s\" is not a number", key, word->otherwise);
        return value;
    }
    fail_msg("there is no key %s", key);
    return 0;
}

static const char plain[] =
    DATA "experiment { workload = function(w) w:insert { data:rows(1, 20) }\n"
         "  w:concurrent { data:queries(2), writes = data:rows(21, 30) }\n"
         "  w:mix { data:queries(2), search = 1, operations = 10 } end,\n"
         "  methods = { method { 'divf', label = 'A' }, method { 'divf', label = 'B' } },\n"
         "  compare = { 'A', 'B' } }";

static void test_defaults(void **state)
{
    struct desk *d = *state;
    desk_loads(d, plain);
    const struct experiment *x = d->experiment;
    const struct op *concurrent = &x->ops->ops[1], *mix = &x->ops->ops[2];
    const struct {
        enum lua_call call;
        const char *key;
        double value;
    } all[] = {
        { CALL_EXPERIMENT, "seed", (double)x->seed },
        { CALL_EXPERIMENT, "seeds", (double)x->seeds },
        { CALL_EXPERIMENT, "repeats", (double)x->repeats },
        { CALL_EXPERIMENT, "k", (double)x->k },
        { CALL_EXPERIMENT, "threads", (double)x->threads },
        { CALL_EXPERIMENT, "timeout", x->timeout_s },
        { CALL_EXPERIMENT, "warmup", x->warmup },
        { CALL_EXPERIMENT, "size_hint", x->size_hint },
        { CALL_W_INSERT, "singles", (double)x->ops->ops[0].singles },
        { CALL_W_CONCURRENT, "seconds", concurrent->seconds },
        { CALL_W_CONCURRENT, "readers", (double)concurrent->readers },
        { CALL_W_CONCURRENT, "repeated", concurrent->repeated },
        { CALL_W_MIX, "insert", mix->shares[MIX_INSERT] },
        { CALL_W_MIX, "threads", (double)mix->threads },
        { CALL_W_MIX, "alone", mix->alone },
        { CALL_W_MIX, "skew", mix->skew },
        { CALL_W_MIX, "burst_size", (double)mix->burst },
        { CALL_W_MIX, "repeated", mix->repeated },
        { CALL_COMPARE, "within", x->compare[0].until },
        { CALL_COMPARE, "budget", x->compare[0].budget_s },
        { CALL_COMPARE, "single", x->compare[0].single },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (default_of(all[i].call, all[i].key) != all[i].value)
            fail_msg("%s: documented %g, but it is %g", all[i].key,
                     default_of(all[i].call, all[i].key), all[i].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        AT_A_DESK(test_defaults),
    };
    return test_run("language", tests);
}
