// session.h - one client: its connection, its frames in and out, and how it ends.
// Floor 2.
//
//   1. session_open() on an adopted socket, in a slot of the session table
//   2. the handler gets each frame; what it does not take waits (TCP pushes back) until
//      session_resume()
//   3. session_reply() queues a frame; session_flush() after the poll batch sends what was queued
//   4. session_end(): no more input; `ending` tells the handler. Replies still go out, until
//      session_finish() (flush, FIN) or session_abort() (RST)
//   5. `closed`: the connection is gone; the handler releases the slot when it is done with it too
//
// A session knows nothing of workers: the router binds the two. Owner: the shard's thread.
#ifndef TROUPE_SESSION_H
#define TROUPE_SESSION_H

#include "base.h"
#include "conn.h"
#include "frame.h"
#include "ledger.h"
#include "reason.h"

struct session;

enum session_state {
    SESSION_FREE,
    SESSION_OPEN,      // frames come in and replies go out
    SESSION_ENDING,    // no more frames; replies to what was delivered still go out
    SESSION_FINISHING, // the connection is ending; replies are dropped
    SESSION_CLOSED,    // the connection is gone; the slot waits for its release
};

struct session_handler {
    // True: taken. False: not now; the same frame comes again after session_resume().
    bool (*frame)(struct session *session, const struct frame *frame);
    // No more frames will come; session->reason says why. At most once.
    void (*ending)(struct session *session);
    // The connection is gone. Once, the last call; after `ending`.
    void (*closed)(struct session *session);
};

struct session_limits {
    uint32_t inbox_max_frames; // taken and not yet committed
    uint32_t inbox_max_bytes;
    uint32_t outbox_max_bytes;
    uint32_t idle_timeout_ms; // 0 = never
    uint32_t linger_timeout_ms;
};

struct session_counts {
    uint64_t closed[REASON_COUNT];
    uint64_t frames_in;
    uint64_t frames_out;
    uint64_t bytes_in; // of payload
    uint64_t bytes_out;
};

// What all sessions of a shard share.
struct session_shared {
    struct port *port;
    struct frame_codec codec;
    struct session_limits limits;
    const struct session_handler *handler;
    void *owner;              // the handler's
    uint64_t (*now_ms)(void); // the shard's clock
    struct list dirty;        // sessions with something to flush
    struct list active;       // OPEN, the longest silent first
    struct list finishing;    // FINISHING, the longest first
    struct session_counts counts;
};

// How far a session's actor has come. The router's alone.
enum binding {
    BINDING_NONE,    // there is no actor, or it is concluded
    BINDING_NEW,     // its first input, OPEN, is still to be delivered
    BINDING_OPEN,    // it gets frames
    BINDING_CLOSING, // its last input, CLOSE, is still to be delivered
    BINDING_CLOSED,  // CLOSE is under way
};

struct session {
    uint64_t id;
    struct session_shared *shared;
    enum session_state state;
    enum reason reason;
    uint32_t inbox_frames; // taken and not yet committed
    uint32_t inbox_bytes;
    uint64_t touched_ms; // last bytes received, or start of the finish
    struct list place;   // in active or finishing
    struct list flush;   // in dirty
    struct list free;    // the table's
    enum binding binding;
    struct ledger_actor actor;
    struct list timers;      // the effects'
    struct list memberships; // the effects'
    uint32_t timer_count;
    uint32_t membership_count;
    struct net_addr peer;
    struct conn conn;
};

void session_shared_init(struct session_shared *shared);

void session_open(struct session *session, net_socket socket, const struct net_addr *peer);

// The actor has answered an input of this many bytes: there may be room for more.
void session_committed(struct session *session, uint32_t bytes);

// Goes on receiving, if the limits allow it.
void session_resume(struct session *session);

// Queues one frame to the client. Closes the session when it cannot be said in the codec or when
// the client reads too slowly. Dropped when the session is finishing.
void session_reply(struct session *session, struct bytes payload);

// The same for a frame that was encoded once for many.
void session_reply_wire(struct session *session, const struct frame_wire *wire);

// No more input, for this reason. No effect unless it is open.
void session_end(struct session *session, enum reason reason);

// Sends what is queued and closes in order. Ends it first if it is open.
void session_finish(struct session *session, enum reason reason);

// Closes hard, at once. Ends it first if it is open.
void session_abort(struct session *session, enum reason reason);

// For the table: the slot is free from now on.
void session_release(struct session *session);

// Sends what has been queued on all sessions since the last time.
void session_flush(struct session_shared *shared);

// Ends what was idle or has lingered too long. Returns ms until the next look, -1 = not needed.
int session_sweep(struct session_shared *shared);

#endif
