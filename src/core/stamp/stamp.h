/* stamp.h - the version and the commit of a program.
 *
 * They change at every commit, so they are in an object of their own, which the program alone links:
 * build/MODE/build_stamp.c, written by the Makefile. The object has a section of its own and a fixed
 * size. Thus nothing else in the program depends on the text, and the hash of the program leaves
 * the section out (src/plan/identity.h). What flags and libraries decide is in build_info.h. */
#ifndef DRIFTLINE_STAMP_H
#define DRIFTLINE_STAMP_H

#define BUILD_STAMP_SECTION ".driftline_stamp"

struct build_stamp {
    char version[32];
    char git_commit[72]; /* "": unknown */
    char git_dirty;      /* 1: the sources differ from that commit */
};

extern const struct build_stamp build_stamp
    __attribute__((section(BUILD_STAMP_SECTION), visibility("hidden")));

#endif
