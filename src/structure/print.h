/* print.h - prints the structure of an index (json.h) as indented text. */
#ifndef DRIFTLINE_STRUCTURE_PRINT_H
#define DRIFTLINE_STRUCTURE_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* depth: levels below the node that are printed; 0: all. Without `all`, long lists end in the number
   of what is left out: of each node at most 20 children, 8 components and 8 ids. */
void structure_print(const json_t *node, size_t depth, bool all, FILE *);

#endif
