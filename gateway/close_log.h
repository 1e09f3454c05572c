// close_log.h - lines of log about sessions that close, at most so many a second.
// Floor 3.
#ifndef TROUPE_CLOSE_LOG_H
#define TROUPE_CLOSE_LOG_H

#include "base.h"
#include "session.h"

enum { CLOSE_LOG_LINES_PER_SECOND = 10 };

struct close_log {
    uint64_t second;
    uint32_t lines; // in that second, also those that were not written
};

// One line that says who and why, or a count of those that were left out.
void close_log_write(struct close_log *log, const struct session *session);

#endif
