// rig_link.h - one link on the rig, its worker, and what its handler was told.
// Floor 4.
#ifndef TROUPE_RIG_LINK_H
#define TROUPE_RIG_LINK_H

#include "base.h"
#include "buffer.h"
#include "link.h"
#include "rig.h"

enum {
    HEARTBEAT_MS = 1000,
    TURN_MS = 5000,
    FRAME_MAX = 9000,
    STATE_MAX = 1000,
    COMMITS_MAX = 8192
};

struct told_commit {
    enum envelope_kind kind; // of the input
    uint64_t session;
    uint32_t epoch;
    uint64_t sequence;
    size_t bytes; // of the input
    bool cleared;
    uint32_t effect_count;
    struct buffer replies; // one after another
    struct buffer state;
    uint32_t state_version;
    bool end;
};

extern struct rig_worker worker;
extern struct link *link; // NULL before `accepted` and after `down`
extern struct link_config config;
extern unsigned ups, rooms, leavings, downs;
extern char down_why[128];
extern bool down_hung, down_ours;
extern unsigned down_owed; // inputs that were under way then
extern bool deliver_on_commit;
extern uint8_t bytes[2 * 1024 * 1024];
extern struct told_commit commits[COMMITS_MAX];
extern uint32_t commit_count;

void begin(const struct rig_config *rig);
int start(void **state); // begin() of the plain rig
int end(void **state);

void up(void); // the worker is welcome

// One of a few actors, by its id: bound to the link at its first use, done with it in the end.
struct ledger_actor *actor(uint64_t id);
bool room(uint64_t id, size_t size);
void deliver(enum envelope_kind kind, uint64_t id, uint64_t sequence, size_t size);
void say_commit(uint64_t session, uint32_t epoch, uint64_t sequence, uint32_t effects);
void say_raw(const void *data, size_t size);

// Ended by the gateway's side, and the worker sees the end.
void ended(const char *why);

#endif
