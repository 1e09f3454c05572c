// rig_router.h - a router with its sessions on the rig: a shard without its loop and its clock.
// Floor 4.
#ifndef TROUPE_RIG_ROUTER_H
#define TROUPE_RIG_ROUTER_H

#include "base.h"
#include "rig.h"
#include "router.h"

enum {
    RIG_SESSIONS = 64,
    RIG_HEARTBEAT_MS = 1000,
    RIG_TURN_MS = 5000,
    RIG_FRAME_MAX = 3 << 20,
    RIG_STATE_MAX = 4096,
    RIG_STRIKES = 3
};

extern struct session_shared rig_sessions;
extern struct session_table rig_table;
extern struct router rig_router;
extern unsigned rig_hung; // workers reported
extern uint32_t rig_hung_worker;
extern uint64_t rig_hung_process;
extern uint64_t rig_utc_ms; // no two inputs have the same time

// The last one that was poisoned.
struct rig_poisoned {
    unsigned count;
    uint64_t session;
    enum envelope_kind kind;
    uint64_t sequence;
    uint64_t now_ms;
    uint32_t worker;
    char payload[32]; // its beginning
    char why[64];
};

extern struct rig_poisoned rig_poisoned;

// Frames are len32be. The clock moves only when a test moves it; rig_settle() does what a shard's
// loop does.
void rig_router_start(const struct rig_config *config);

// Closes all that is left and checks that nothing stays. Clients and workers are to be closed, or
// see their connections end.
void rig_router_end(void);

void rig_send_frame(struct rig_client *client, struct bytes payload);

#endif
