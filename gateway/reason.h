// reason.h - why a session was closed or a client refused: counted, logged, told to the actor.
// Floor 1.
#ifndef TROUPE_REASON_H
#define TROUPE_REASON_H

#include "base.h"

enum reason {
    REASON_NONE,
    // closes
    REASON_CLIENT_CLOSED,   // FIN
    REASON_CLIENT_LOST,     // RST, time-out of the network
    REASON_FRAME_TOO_SHORT, // a length below the codec's minimum
    REASON_FRAME_TOO_LONG,  // a length above the codec's maximum
    REASON_IDLE,            // nothing received for gateway.idle_timeout_ms
    REASON_SLOW_CLIENT,     // more than gateway.outbox_max_bytes unread
    REASON_ACTOR_CLOSED,    // the actor asked for it
    REASON_BAD_REPLY,       // the actor sent what the codec cannot carry
    REASON_POISONED,        // its input ended one worker after another
    REASON_ACTOR_LIMIT,     // its actor has too many timers or groups
    REASON_SHUTDOWN,        // the gateway stops
    REASON_OUT_OF_MEMORY,
    // refusals
    REASON_SESSIONS_FULL, // gateway.max_sessions
    REASON_COUNT,
};

// A short lower-case text ("client closed"); never NULL.
const char *reason_text(enum reason reason);

// True for what the other side does in the normal course of things: not worth a line of log.
bool reason_is_usual(enum reason reason);

#endif
