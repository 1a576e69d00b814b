/* wire.h - the bytes of messages between ranks: words of 64 bits, and arrays padded to such words, so
 * that arrays are read where they lie. Both ends are the same program on the same kind of machine. */
#ifndef DRIFTLINE_SHARDED_WIRE_H
#define DRIFTLINE_SHARDED_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;

/* 1. Writing. Zeroed but for mem: empty. If memory runs out, `failed` is set and stays. */
struct wire {
    struct mem *mem;
    unsigned char *bytes;
    size_t n, capacity;
    bool failed;
};

void wire_free(struct wire *);
/* The next n bytes then need no memory. */
bool wire_make_room(struct wire *, size_t n_bytes);
void wire_put(struct wire *, uint64_t word);
/* Space for an array of n bytes, to be filled before the next call; NULL: out of memory. */
void *wire_reserve(struct wire *, size_t n_bytes);
void wire_put_bytes(struct wire *, const void *bytes, size_t n_bytes);
/* A string of less than 2^16 bytes, with its length. */
void wire_put_text(struct wire *, const char *text);
/* Replaces the word at this offset. */
void wire_set(struct wire *, size_t offset, uint64_t word);

/* 2. Reading, from an address that is a multiple of 8, so that arrays are aligned. What is past the end is
   0 or NULL, and sets `failed`. */
struct wire_reader {
    const unsigned char *at;
    size_t left;
    bool failed;
};

uint64_t wire_take(struct wire_reader *);
/* Copies what wire_put_bytes() wrote of a struct of n bytes; zeros it if that is missing. */
void wire_take_struct(struct wire_reader *, void *out, size_t n_bytes);
/* Of n elements; NULL also if the product overflows. */
const void *wire_take_array(struct wire_reader *, uint64_t n, size_t each);
/* NULL if it is damaged. */
const char *wire_take_text(struct wire_reader *);

#endif
