// effect.h - what a commit asks for, applied: frames to clients, state, groups, timers.
// Floor 3.
//
//   1. effects_init()
//   2. effects_apply() each effect of a commit, in order
//   3. effects_fire() gives the timers that are due; effects_fired() when that input is committed
//   4. effects_forget() when an actor is no more
//
// Groups and timers live here, in the gateway, so that they survive the worker. Each shard has the
// members that are its own sessions: a publish goes to every shard, a send to the session's. Owner:
// the shard's thread.
#ifndef TROUPE_EFFECT_H
#define TROUPE_EFFECT_H

#include "base.h"
#include "envelope.h"
#include "group.h"
#include "session_table.h"
#include "timer.h"

enum {
    EFFECT_TIMERS_MAX = 64, // of one actor: set, or fired and not yet handled
    EFFECT_GROUPS_MAX = 64, // of one actor
};

struct effects_config {
    struct session_shared *sessions;
    struct session_table *table;
    // SEND or PUBLISH for other shards: effect->session's, or all for PUBLISH. The effect is lent.
    void (*elsewhere)(void *owner, const struct envelope *effect);
    void *owner;
};

struct effects {
    struct effects_config config;
    struct timers timers;
    struct groups groups;
};

void effects_init(struct effects *effects, const struct effects_config *config);
void effects_fini(struct effects *effects); // every actor has been forgotten

void effects_apply(struct effects *effects, struct session *session, const struct envelope *effect);

// SEND or PUBLISH from another shard.
void effects_arrive(struct effects *effects, const struct envelope *effect);

// When the next timer is due; TIMER_NEVER if there is none.
uint64_t effects_next_ms(const struct effects *effects);

// A timer that is due: whose, and its tag. False: none. Until effects_fired() it does not fire
// again, whatever it is set to meanwhile.
bool effects_fire(struct effects *effects, uint64_t now_ms, struct session **out_session,
                  uint64_t *out_tag);

// The actor has handled what effects_fire() gave; after the effects of that turn.
void effects_fired(struct effects *effects, struct session *session, uint64_t tag);

void effects_forget(struct effects *effects, struct session *session);

#endif
