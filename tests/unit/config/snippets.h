/* snippets.h - parts of configs that these tests share. */
#ifndef DRIFTLINE_TESTS_UNIT_CONFIG_SNIPPETS_H
#define DRIFTLINE_TESTS_UNIT_CONFIG_SNIPPETS_H

#define DATA "local data = synthetic { kind = 'mixture', rows = 1000, dim = 8 }\n"
#define FLAT "methods = { method { 'flat' } }, "
/* Lines 1 and 2, then the operations from line 3. */
#define RUN(steps) DATA "experiment { " FLAT "workload = function(w)\n" steps "\nend }"
/* The same with two methods that have options. */
#define METHODS(steps)                                                                  \
    DATA "experiment { methods = { method { 'flat' }, method { 'divf' } }, workload = " \
         "function(w)\n" steps "\nend }"
#define LOADED(steps) RUN("w:insert { data:rows(1, 100), tag = 'load' }\n" steps)
#define CODES(steps)                                                           \
    "local codes = synthetic { kind = 'uniform', rows = 100, clusters = 9 }\n" \
    "experiment { " FLAT "workload = function(w)\n w:insert { codes }\n" steps "\nend }"
#define WITH(entries)                                                                             \
    DATA "experiment { workload = function(w) w:insert { data } w:search { data:queries(5), tag " \
         "= 'q' } end,\n" entries " }"
#define METHOD(spec) WITH("methods = { method { 'divf',\n" spec " } }")

#endif
