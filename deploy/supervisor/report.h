// report.h - a line of a child's standard output: a report to the supervisor, or the user's text.
// Floor 2. Pure.
//
//   troupe: ready                          a worker is welcome at every shard
//   troupe: ready listen=127.0.0.1:7777    a gateway accepts clients
//   troupe: hung worker=K pid=P why=TEXT   the gateway wants a worker replaced
//   troupe: failed TEXT                    the child is about to exit for good
#ifndef TROUPE_REPORT_H
#define TROUPE_REPORT_H

#include "base.h"

enum { REPORT_TEXT_MAX = 256 };

enum report_kind {
    REPORT_NONE, // not a report: the user's text
    REPORT_READY,
    REPORT_HUNG,
    REPORT_FAILED,
    REPORT_BAD, // begins like a report but is none that we know
};

struct report {
    enum report_kind kind;
    uint32_t worker;            // HUNG
    uint64_t process_id;        // HUNG
    char text[REPORT_TEXT_MAX]; // READY: listen, or empty; HUNG: why; FAILED: why; cut if longer
};

void report_parse(struct report *out_report, const char *line);

#endif
