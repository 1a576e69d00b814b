/* terminal_text.c - see terminal_text.h. */
#include "harness/terminal_text.h"

#include <stdlib.h>

#include "harness/quote.h"

void terminal_begin(struct terminal_text *p)
{
    *p = (struct terminal_text){ 0 };
    p->out = open_memstream(&p->text, &p->bytes);
}

void terminal_print(struct terminal_text *p)
{
    if (p->out && fclose(p->out) == 0)
        quote_terminal(stdout, p->text);
    free(p->text);
}
