// shard.h - one thread of the gateway: a port, its sessions, its links, its loop.
// Floor 5. Shards share nothing: they only post to each other's ports.
//
//   1. zero it, shard_start() on the thread that will run it, for each shard of a group
//   2. shard_run() loops until shard_stop() has been heard and everything is closed
//   3. meanwhile, from any thread: shard_offer() a client, shard_stop()
//   4. shard_fini() once every shard has returned from shard_run()
#ifndef TROUPE_SHARD_H
#define TROUPE_SHARD_H

#include "base.h"
#include "deadletter.h"
#include "listener.h"
#include "port.h"
#include "router.h"

enum {
    SHARD_COUNT_MAX = 64,
    SHARD_MAIL_MAX = 16 * 1024 * 1024, // bytes that a shard has under way to others
};

struct shard;

// What all shards know; fixed before the first thread starts.
struct shard_group {
    struct shard *shards;
    uint32_t count;
    struct frame_codec codec;
    struct session_limits limits;
    uint32_t sessions_max; // in all
    uint32_t accepts;
    uint32_t drain_ms; // an orderly stop waits for clients and workers this long
    uint32_t heartbeat_ms;
    uint32_t turn_timeout_ms;
    uint32_t state_max;
    uint32_t poison_strikes;
    const char *deadletters; // file that keeps the inputs that end workers
    uint64_t deadletter_max; // bytes of it
    uint64_t seed;           // of what actors call random
    struct bytes token;
    const char *address; // shard k listens for workers on "<address>-<k>"
};

enum shard_state {
    SHARD_RUNNING,
    SHARD_DRAINING, // no new sessions; waits until all are closed
    SHARD_CLOSING,  // waits for links, the stream listener and its mail
    SHARD_QUIET,    // sends nothing any more; waits until all others are quiet, too
    SHARD_DONE,
};

struct shard {
    const struct shard_group *group;
    uint32_t index;
    enum shard_state state;
    struct port *port;
    struct session_shared sessions;
    struct session_table table;
    struct router router;
    struct stream_listener *streams; // NULL once closed
    struct listener *listener;       // shard 0 only, while it is open
    struct deadletter_box deadletters;
    uint64_t refused;
    uint64_t drain_until_ms;
    struct port_op stop;
    struct port_op quiet;  // on its way to shard 0
    struct port_op finish; // on its way from shard 0
    bool told;             // to stop; shard 0's thread
    uint32_t stopping;     // shard 0: shards that were told to stop and are not quiet yet
    uint64_t mail_bytes;   // sent to other shards and not back home
    uint64_t mail_dropped;
};

// Makes the shard's port, for who must post to it before it starts: a stop signal. It then outlives
// a start that fails. shard_start() does it if nobody has. 0, or a negative errno, logged.
int shard_open(struct shard *shard, const struct shard_group *group, uint32_t index);

// 0, or a negative errno with one line of log that says what failed.
int shard_start(struct shard *shard, const struct shard_group *group, uint32_t index);

// One turn of the loop: waits up to wait_ms for something to do, does it, and returns how long the
// next turn may wait; -1 = for ever. For loops of another kind; over when the state is SHARD_DONE.
int shard_turn(struct shard *shard, int wait_ms);

void shard_run(struct shard *shard);

// Any thread of the group: the client in this slot is for this shard. It is adopted, handed on to
// the next shard when this one is full, or refused when all are; then the slot goes home.
void shard_offer(struct shard *shard, struct listener_slot *slot);

// Shard 0's thread, once for each shard.
void shard_stop(struct shard *shard);

void shard_fini(struct shard *shard);

#endif
