// runtime.h - the worker's loop: inputs of all shards, one turn at a time, commits back.
// Floor 3.
#ifndef TROUPE_RUNTIME_H
#define TROUPE_RUNTIME_H

#include "actors.h"
#include "base.h"
#include "port.h"
#include "turn.h"
#include "uplink.h"

struct troupe_actor;

enum {
    RUNTIME_SHARDS_MAX = 64,
    RUNTIME_SLICE_NS = 1000 * 1000, // turns of one shard before its commits leave
    RUNTIME_LEAVE_STEP_MS = 50,     // how often it looks whether it may go
    RUNTIME_LEAVE_MS = 2000,        // after this the worker goes, and the gateway replays
};

enum runtime_state {
    RUNTIME_RUNNING,
    RUNTIME_LEAVING, // told to stop: the gateway moves the actors elsewhere
    RUNTIME_CLOSING, // waits for the uplinks
};

struct runtime_config {
    const struct troupe_actor *actor;
    struct uplink_config uplink; // port, now_ms, changed, owner: set by runtime_run()
    uint32_t shards;
};

struct runtime {
    struct runtime_config config;
    enum runtime_state state;
    struct port *port;
    struct uplink *uplinks; // one a shard
    struct actors *actors;  // one a shard
    uint64_t leave_until_ms;
    uint32_t uplinks_open;
    bool reported; // "troupe: ready" was said
    bool refused;
    bool stop_posted; // of the stop thread
    struct port_op stop;
    struct troupe_turn turn;
};

// Runs until it is told to stop or is refused. Returns the exit code. Main thread.
int runtime_run(const struct runtime_config *config);

#endif
