// turn.h - one input of one actor, and the effects that its callback asks for.
// Floor 2. Pure.
//
//   1. turn_begin() with the input; the callback gets it as a struct troupe_turn
//   2. the functions of <troupe/actor.h> gather effects
//   3. turn_state() adds the state, if it has changed
//   4. turn_commit() writes the commit and its effects, whole, behind what is in the outbox
#ifndef TROUPE_TURN_H
#define TROUPE_TURN_H

#include "base.h"
#include "envelope.h"

enum {
    TURN_BYTES_MAX = 4 * 1024 * 1024, // of effects; the one that passes it is the last
    // Most that gateway.state_max_bytes may be: effects, the largest frame, a state and what waits
    // to be sent fit a batch together, and so do a state and a frame on their way to a worker.
    TURN_STATE_MAX = 8 * 1024 * 1024,
};

struct troupe_turn {
    uint64_t session;
    uint64_t sequence;
    uint32_t epoch;
    uint32_t frame_max; // largest payload of a reply
    uint64_t now_ms;
    uint64_t random; // state of troupe_random()
    uint32_t effect_count;
    struct buffer effects; // encoded, kept between turns
};

// seed: of the node. With session and sequence it gives the turn's random numbers.
void turn_begin(struct troupe_turn *turn, const struct envelope *input, uint32_t frame_max,
                uint64_t seed);

// What the gateway must remember of the actor from now on. There is always room for it: the
// callbacks may use one effect less than a commit has. 0, -EMSGSIZE (above TURN_STATE_MAX),
// -ENOMEM.
int turn_state(struct troupe_turn *turn, uint32_t version, struct bytes state);

// 0 or -ENOMEM (the outbox is as before).
int turn_commit(struct troupe_turn *turn, struct buffer *outbox);

void turn_fini(struct troupe_turn *turn);

#endif
