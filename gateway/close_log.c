#include "close_log.h"
#include "log.h"

void close_log_write(struct close_log *log, const struct session *session)
{
    uint64_t second = session->shared->now_ms() / 1000;
    char peer[ADDR_TEXT_MAX];

    if (second != log->second) {
        if (log->lines > CLOSE_LOG_LINES_PER_SECOND)
            log_info("router", "closed %u more sessions",
                     (unsigned)(log->lines - CLOSE_LOG_LINES_PER_SECOND));
        log->second = second;
        log->lines = 0;
    }
    if (++log->lines <= CLOSE_LOG_LINES_PER_SECOND)
        log_info("router", "closing '%s': %s", addr_text(&session->peer, peer),
                 reason_text(session->reason));
}
