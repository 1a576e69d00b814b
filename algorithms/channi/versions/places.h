/* places.h - the cluster and row of each live id. `write` is held in all calls. */
#ifndef DRIFTLINE_CHANNI_VERSIONS_PLACES_H
#define DRIFTLINE_CHANNI_VERSIONS_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channi;

struct channi_place {
    uint32_t cid, row;
};

int channi_places_reserve(struct channi *, const uint64_t *ids, size_t n);
void channi_place_add(struct channi *, uint64_t id, struct channi_place); /* reserved */
bool channi_place_of(const struct channi *, uint64_t id, struct channi_place *);
void channi_place_set(struct channi *, uint64_t id, struct channi_place);
void channi_place_remove(struct channi *, uint64_t id);
size_t channi_live(const struct channi *); /* number of live ids */
uint64_t channi_places_bytes(const struct channi *);

#endif
