#include "reason.h"

const char *reason_text(enum reason reason)
{
    static const char *const texts[REASON_COUNT] = {
        [REASON_NONE] = "none",
        [REASON_CLIENT_CLOSED] = "client closed",
        [REASON_CLIENT_LOST] = "client lost",
        [REASON_FRAME_TOO_SHORT] = "frame too short",
        [REASON_FRAME_TOO_LONG] = "frame too long",
        [REASON_IDLE] = "idle too long",
        [REASON_SLOW_CLIENT] = "slow client",
        [REASON_ACTOR_CLOSED] = "closed by actor",
        [REASON_BAD_REPLY] = "bad reply",
        [REASON_POISONED] = "poisoned input",
        [REASON_ACTOR_LIMIT] = "too many timers or groups",
        [REASON_SHUTDOWN] = "shutdown",
        [REASON_OUT_OF_MEMORY] = "out of memory",
        [REASON_SESSIONS_FULL] = "too many sessions",
    };

    CHECK((unsigned)reason < REASON_COUNT);
    return texts[reason];
}

bool reason_is_usual(enum reason reason)
{
    return reason == REASON_CLIENT_CLOSED || reason == REASON_CLIENT_LOST ||
           reason == REASON_ACTOR_CLOSED || reason == REASON_SHUTDOWN;
}
