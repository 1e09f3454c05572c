// uplink.h - the worker's connection to one shard: dial, handshake, inputs in, commits out.
// Floor 2.
//
//   1. uplink_open() for each shard; it dials, and dials again a moment after it was lost
//   2. `changed` when it is up, down or refused; uplink_next() gives the inputs of the batch at
//   hand
//   3. commits go into uplink_outbox(), uplink_flush() sends them
//   4. uplink_tick() after each poll and what followed it
//   5. uplink_close(); `changed` with UPLINK_CLOSED is the last call
//
// Owner: the thread of the port. A batch stays lent until uplink_next() has given its last input,
// and nothing more is received until then: a slow actor pushes back to the gateway.
#ifndef TROUPE_UPLINK_H
#define TROUPE_UPLINK_H

#include "base.h"
#include "envelope.h"
#include "stream.h"

struct uplink;

enum {
    UPLINK_PAUSE_MS = 100, // before it is dialled again: a gateway that hangs up must not spin us
    // Bytes that may wait to be sent; a turn's effects come on top of it, and the sum fits a batch.
    UPLINK_UNSENT_MAX = 1024 * 1024,
};

enum uplink_state {
    UPLINK_DIALLING,
    UPLINK_GREETING, // HELLO is out
    UPLINK_UP,
    UPLINK_PAUSING, // lost; waits for the next dial
    UPLINK_REFUSED, // for good
    UPLINK_CLOSING,
    UPLINK_CLOSED,
};

// What HELLO says, and who wants to know. Outlives the uplinks.
struct uplink_config {
    struct port *port;
    uint64_t (*now_ms)(void);
    const char *address; // shard k listens on "<address>-<k>"
    const char *token;
    const char *app;
    const char *app_version;
    uint32_t worker;
    uint64_t process_id;
    void (*changed)(void *owner, struct uplink *uplink);
    void *owner;
};

struct uplink {
    const struct uplink_config *config;
    struct stream *stream; // NULL while it pauses
    enum uplink_state state;
    uint32_t shard;
    uint32_t frame_max; // largest payload of a reply, from WELCOME
    uint64_t seed;      // of what actors call random, from WELCOME
    bool drained;       // the gateway needs this worker no more
    bool reading;       // a batch is at hand
    uint64_t dial_ms;   // PAUSING: when to dial
    struct envelope_reader reader;
};

// 0, -ENOMEM, -EINVAL (an address that is none).
int uplink_open(struct uplink *uplink, const struct uplink_config *config, uint32_t shard);

// The next input (OPEN, FRAME, CLOSE) or RESTORE, its slices lent until the next call. False: none
// is there.
bool uplink_next(struct uplink *uplink, struct envelope *out_input);

// True while commits may be added; else flush and wait until sends have come home.
bool uplink_room(const struct uplink *uplink);

struct buffer *uplink_outbox(struct uplink *uplink);
void uplink_flush(struct uplink *uplink);

// True when all commits have left.
bool uplink_drained(const struct uplink *uplink);

// Asks the gateway to move its actors elsewhere; `changed` when that is done.
void uplink_leave(struct uplink *uplink);

// The gateway broke the protocol: ends the connection and dials again.
void uplink_break(struct uplink *uplink);

// Dials again when it is time. Returns ms until the next look, -1 = not needed.
int uplink_tick(struct uplink *uplink);

void uplink_close(struct uplink *uplink);

#endif
