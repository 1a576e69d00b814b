/* options.h - build and search parameters of spann and spfresh. Their tables, with ranges and help,
 * are in method.c. */
#ifndef DRIFTLINE_SPFRESH_OPTIONS_H
#define DRIFTLINE_SPFRESH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* ADDERS: threads that may add a head at the same time. */
enum { SPFRESH_REPLICAS_MAX = 8, SPFRESH_STRIPES = 1024, SPFRESH_ADDERS = 128 };

enum spfresh_maintenance { SPFRESH_INLINE, SPFRESH_EXPLICIT, SPFRESH_BACKGROUND };
/* AUTO: WRITTEN if postings lie in files, else NO_WAL. An open index never has AUTO. */
enum spfresh_wal { SPFRESH_NO_WAL, SPFRESH_WRITTEN, SPFRESH_SYNCED, SPFRESH_AUTO };

/* What a posting holds: whole vectors, or codes with the vectors in a file beside. CENTRE: the
   point that codes are relative to. */
enum spfresh_codec_kind { CODEC_RAW, CODEC_SQ8, CODEC_PQ, CODEC_RABITQ };
enum spfresh_codec_centre { CODEC_CENTRE_POSTING, CODEC_CENTRE_GLOBAL };

struct spfresh_params {
    /* heads */
    double ratio;                                            /* heads per vector of the build */
    int64_t fanout, leaf, samples;                           /* of the balanced tree */
    double balance;                                          /* penalty; 0: none; < 0: search */
    int64_t select_threshold, split_threshold, split_factor; /* 0: from ratio */
    int64_t refine;                                          /* iterations of Lloyd's on heads */
    int64_t head_index;                                      /* enum graph_kind */
    int64_t degree, build_ef, insert_ef;
    /* filing */
    int64_t assign_heads; /* candidate heads of a vector (InternalResultNum) */
    int64_t replicas;
    double rng_factor, closure_eps;
    int64_t page_limit;      /* pages of a posting; 0: 3 for bytes, 12 for floats */
    int64_t posting_entries; /* the same limit in entries; 0: see spfresh_set_limits() */
    int64_t buffer_pages;    /* past the limit before an update itself splits */
    /* what a posting holds */
    int64_t postings; /* enum spfresh_codec_kind */
    int64_t bits, pq_groups;
    double eps0;
    int64_t code_centre;  /* enum spfresh_codec_centre */
    int64_t version_bits; /* choice: 7, 15 */
    /* where postings lie */
    int64_t store, io; /* enum posting_kind, posting_io */
    bool direct;
    int64_t wal; /* enum spfresh_wal */
    int64_t checkpoint_mb;
    /* maintenance: spfresh only */
    int64_t maintenance; /* enum spfresh_maintenance */
    int64_t background_threads;
    int64_t reassign_heads; /* postings scanned after a split (ReassignK); 0: none */
    bool split, condition1, condition2, merge;
    int64_t merge_entries; /* a posting with at most this many live entries is merged; 0: 1 / ratio,
                              a tenth of the limit at most, at least 10 */
    /* limits of background threads */
    int64_t background_nice;
    double background_cpu_share; /* of a processor, per thread; 1: no limit */
    int64_t background_mb_s;     /* 0: no limit */
};

struct spfresh_knobs {
    int64_t nprobe;        /* heads searched at most (SearchInternalResultNum) */
    int64_t ef, max_check; /* of the head search; 0: from nprobe, no bound */
    double max_dist_ratio; /* a head is skipped if its squared distance exceeds this times that of
                              the nearest head (MaxDistRatio); 0: no head is skipped */
    int64_t page_budget;   /* pages read of a posting at most; 0: all */
    int64_t rerank; /* codes: exact distances at most; 0: all that the bounds cannot exclude */
    double latency_limit_ms; /* postings read later than this are skipped; 0: no limit */
    double target_recall;    /* mean recall at which queries stop; 0: nprobe alone decides */
};

#endif
