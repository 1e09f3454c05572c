// link.h - a shard's connection to one worker: handshake, deliveries out, commits in, heartbeat.
// Floor 2.
//
//   1. link_open() on a stream that the shard's stream listener accepted
//   2. `up` after HELLO and WELCOME; then link_room() and link_deliver(), link_flush() after the
//   poll
//   3. `commit` for each answered input, whole; `room` when deliveries may go on
//   4. link_close(), or the link ends by itself; `down` is the last call, the memory is gone after
//   it
//
// A link remembers what it has delivered, oldest first, until the worker commits it: commits come
// in the order of delivery, so anything else is a lie and ends the link. The window (inputs and
// bytes delivered and not committed) bounds what the worker and this side must hold. Owner: the
// shard's thread.
#ifndef TROUPE_LINK_H
#define TROUPE_LINK_H

#include "base.h"
#include "envelope.h"
#include "ledger.h"
#include "stream.h"

struct link;

enum {
    LINK_HELLO_TIMEOUT_MS = 5000, // from connect to HELLO, and from a refusal to the hang-up
    LINK_HEARTBEAT_MISSES = 3,
};

enum link_state {
    LINK_GREETING, // waits for HELLO
    LINK_UP,
    LINK_LEAVING,  // the worker wants its actors moved, and no new ones
    LINK_REFUSING, // refused; the worker is to read why and hang up
    LINK_CLOSING,  // waits for the stream
};

// Whether the worker is known to live. One that is frozen or dead already, without the gateway
// having seen it, would strike every suspect that it is given.
enum link_proof {
    LINK_PROOF_NONE,
    LINK_PROOF_ASKED,
    LINK_PROOF_GIVEN,
};

struct link_commit {
    struct ledger_actor *actor;
    bool cleared;                   // the actor was a suspect until now
    struct ledger_input input;      // what was answered; lent until the handler returns
    const struct envelope *effects; // lent, too
    uint32_t effect_count;
};

struct link_handler {
    void (*up)(struct link *link);
    void (*commit)(struct link *link, const struct link_commit *commit);
    void (*room)(struct link *link);    // some commits have come
    void (*leaving)(struct link *link); // the worker wants to be rid of its actors
    // The stream is gone; why is lent text. link->lane still holds its actors.
    void (*down)(struct link *link, const char *why);
};

struct link_config {
    const struct link_handler *handler;
    uint64_t (*now_ms)(void); // the shard's clock
    void *owner;              // the handler's
    struct bytes token;       // what HELLO must show
    uint32_t shard;
    uint32_t shards;
    uint32_t frame_max; // largest payload of a reply
    uint32_t state_max; // largest state of an actor
    uint64_t seed;      // of what actors call random
    uint32_t heartbeat_ms;
    uint32_t turn_timeout_ms; // 0 = never
};

struct link {
    const struct link_config *config;
    struct stream *stream;
    enum link_state state;
    uint32_t worker; // number the supervisor gave
    uint64_t process_id;
    char app[64];      // "echo 1"; empty until it is up
    char why[128];     // why it is closing
    bool ours;         // closing for a reason that no input can be blamed for
    bool hung;         // closing because it does not answer
    uint64_t heard_ms; // last batch, or the connect
    uint64_t moved_ms; // last commit, or the delivery that ended an idle time
    uint64_t asked_ms; // last PING
    uint64_t ping_serial;
    uint32_t pings_open;
    enum link_proof proof;
    uint64_t proof_serial; // PING that asked for it
    struct ledger_lane *lane;
    struct envelope_reader reader;
    struct envelope effects[ENVELOPE_EFFECTS_MAX];
    // The router's.
    struct list node;     // in the router's list of links
    struct list waiting;  // sessions that wait for room
    struct list suspects; // sessions that wait to be tried
};

// Takes over the stream. 0, or -ENOMEM with the stream closed. config must outlive the link.
int link_open(struct link **out_link, struct stream *stream, const struct link_config *config);

// Appends an actor's last committed state to the next batch: the worker does not have it yet.
void link_restore(struct link *link, const struct ledger_actor *actor);

// Appends an input (OPEN, FRAME, CLOSE) that the ledger has accepted for this lane.
void link_deliver(struct link *link, const struct ledger_actor *actor,
                  const struct ledger_input *input);

// Tells a worker that is leaving that nothing holds it any more.
void link_drained(struct link *link);

// True when the worker has answered since link_doubt(): a suspect may be tried. Otherwise it is
// asked, and `room` follows its answer.
bool link_proven(struct link *link);

// Nobody is tried and nobody waits for it: the proof is out of date from now on.
void link_doubt(struct link *link);

void link_flush(struct link *link);

// Heartbeat and time-outs; after each poll. Returns ms until the next look.
int link_tick(struct link *link);

void link_close(struct link *link, const char *why);

// The same for a reason of the gateway's own: no input is to blame.
void link_drop(struct link *link, const char *why);

#endif
