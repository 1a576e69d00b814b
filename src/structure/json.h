/* json.h - the structure that a method shows (struct structure_sink in index.h), as JSON.
 *
 * A node is { kind, number, values: { NAME: number or text }, vectors: { NAME: [component] }, ids:
 * { NAME: [id] }, children: [node], hidden }. hidden: children that are below the last level. A
 * member without content is left out. */
#ifndef DRIFTLINE_STRUCTURE_JSON_H
#define DRIFTLINE_STRUCTURE_JSON_H

#include <jansson.h>

#include "src/core/index.h"

#define STRUCTURE_LEVELS 256

struct structure_json {
    size_t depth;  /* levels of nodes below the root that are taken; at most STRUCTURE_LEVELS - 1 */
    bool with_ids; /* take ids */
    size_t level;  /* nodes that are open */
    json_t *open[STRUCTURE_LEVELS]; /* owned by their parents */
    json_t *root;
};

/* Begins a structure. depth: 0: all levels. The caller passes structure_json_sink() to inspect(), and
   then frees `root` with json_decref(), also after an error. Without memory, nodes are missing, or
   the process ends if jansson's allocator does so. */
void structure_json_begin(struct structure_json *, size_t depth, bool with_ids);
struct structure_sink structure_json_sink(struct structure_json *);

/* The first node of that kind and number, in the order of the tree; borrowed. NULL: none. */
const json_t *structure_json_find(const json_t *root, const char *kind, long long number);

#endif
