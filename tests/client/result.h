// result.h - what a run of the load generator found and measured.
// Floor 2. Pure.
#ifndef TROUPE_RESULT_H
#define TROUPE_RESULT_H

#include "histogram.h"
#include "options.h"

enum result_error {
    RESULT_NOT_CONNECTED,
    RESULT_CLOSED,  // by the server, or reset, too early
    RESULT_FRAME,   // bytes that are no frame
    RESULT_BYTES,   // a reply with wrong bytes, out of order or of another client
    RESULT_EXTRA,   // more replies than frames
    RESULT_TIMEOUT, // no progress
    RESULT_LOCAL,   // out of memory and the like, here
    RESULT_ERROR_KINDS,
};

struct result_process {
    uint64_t id;
    uint64_t cpu_us;         // used over the run
    uint64_t resident_bytes; // at the end of the run, connections standing
};

struct result {               // zero it
    uint64_t connections;     // that stood, over the whole run
    uint64_t frames_sent;     //
    uint64_t frames;          // answered right
    uint64_t bytes;           // payload bytes answered right
    uint64_t ns;              // from the first frame to the last reply
    struct histogram latency; // ns, of each frame
    uint64_t errors[RESULT_ERROR_KINDS];
    uint64_t error_count;
    char first_error[256];
    struct result_process processes[OPTIONS_PIDS_MAX];
};

// Counts it, and keeps the text of the first one.
void result_add_error(struct result *result, enum result_error kind, const char *format, ...)
    BASE_PRINTF(3, 4);

const char *result_error_text(enum result_error error); // "closed early"

#endif
