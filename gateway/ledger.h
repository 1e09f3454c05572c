// ledger.h - what the gateway remembers of actors: inputs, commits, state, and who owes an answer.
// Floor 2. Pure: no I/O, no clock.
//
// An actor is a record that some object embeds (a session). A lane is the ledger's side of a link:
// the inputs delivered to one worker and not committed, oldest first. Workers commit in the order
// of delivery, so a lane is a queue, and a lost worker's uncommitted inputs are all of it.
//
//   1. ledger_actor_init(), ledger_lane_create()
//   2. ledger_bind() an actor to a lane: a new epoch. If ledger_restore_due(), tell the worker its
//      state first
//   3. an input comes: ledger_ready() -> ledger_deliver() and send it; otherwise the input waits
//   where
//      it is (a frame in its connection), or in the actor's queue with ledger_queue()
//   4. when something may go on: ledger_head() shows what is queued, ledger_pop() after its
//   delivery
//   5. a commit comes: ledger_commit(), then its effects, ledger_state_set() among them
//   6. the worker is lost: ledger_lose() takes everything back into the actors' queues, in order,
//      before anything newer; bind them elsewhere
//
// Sequence numbers belong to the actor and never repeat: an input that is delivered again has its
// old number and its old time, so actor id and sequence identify a turn for good.
//
// An actor that had inputs under way when its worker died is a suspect until it commits once: a
// lane has at most one suspect's input under way. Death with a suspect under way is a strike for
// it; a commit clears the strikes.
#ifndef TROUPE_LEDGER_H
#define TROUPE_LEDGER_H

#include "base.h"
#include "buffer.h"
#include "envelope.h"

enum {
    LEDGER_LANE_INPUTS = 4096,
    LEDGER_LANE_BYTES = 1024 * 1024, // one larger input may travel alone
    LEDGER_INPUT_OVERHEAD = 64,      // cost of an input beyond its payload
};

struct ledger_input {
    enum envelope_kind kind; // OPEN, FRAME, CLOSE
    uint64_t sequence;       // of the actor: 1, 2, 3 ...; given by ledger_deliver()
    uint64_t now_ms;         // when it first came in; the same in a replay
    struct bytes prefix;     // goes before payload
    struct bytes payload;
};

// Inputs kept by value, oldest first.
struct ledger_queue {
    struct buffer bytes;
    uint32_t count;
};

enum ledger_trust {
    LEDGER_TRUSTED,
    LEDGER_SUSPECT, // has not committed since a worker died on it, perhaps
    LEDGER_TRIED,   // a suspect with its one input under way
};

struct ledger_lane;

struct ledger_actor {
    uint64_t id;
    struct ledger_lane *lane; // NULL: no worker has it
    uint32_t epoch;           // of the present or last binding; 0 = never bound
    uint64_t delivered;       // sequence of the last input delivered in this epoch
    uint64_t committed;       // sequence of the last input committed
    enum ledger_trust trust;
    uint32_t strikes;
    bool introduced;     // the present worker knows it
    bool torn;           // out of memory while inputs came back: it cannot go on
    struct buffer state; // last committed; empty = none
    uint32_t state_version;
    struct ledger_queue queue; // waits for delivery, before anything newer
    struct ledger_queue back;  // of ledger_lose(): what comes back from the lane
    struct list of_lane;       // all actors of the lane
    struct list waiting;       // the router's
};

struct ledger_entry {
    struct ledger_actor *actor;
    uint64_t sequence;
    uint64_t now_ms;
    uint32_t prefix;
    uint32_t bytes; // prefix included
    enum envelope_kind kind;
};

struct ledger_lane {
    struct list bound; // its actors
    uint32_t load;     // how many
    uint32_t first;
    uint32_t count;
    uint64_t cost;                // bytes under way, overhead included
    struct ledger_actor *suspect; // whose input is tried now, NULL = none
    struct buffer payloads;       // of the entries, in order
    struct ledger_entry entries[LEDGER_LANE_INPUTS];
};

void ledger_actor_init(struct ledger_actor *actor, uint64_t id);
void ledger_actor_fini(struct ledger_actor *actor); // unbound

struct ledger_lane *ledger_lane_create(void);       // NULL: out of memory
void ledger_lane_destroy(struct ledger_lane *lane); // nothing bound; NULL is fine

void ledger_bind(struct ledger_actor *actor, struct ledger_lane *lane);

// Nothing of the actor may be under way.
void ledger_unbind(struct ledger_actor *actor);

// True when the worker must be sent the actor's state before its next input.
bool ledger_restore_due(const struct ledger_actor *actor);
void ledger_restored(struct ledger_actor *actor);

// True when an input with so much payload may be delivered now: bound, within the lane's window,
// and alone if it is a suspect.
bool ledger_ready(const struct ledger_actor *actor, size_t bytes);

// The input goes out: it gets its sequence and is kept until its commit. Only when ledger_ready().
// 0 or -ENOMEM (nothing changed).
int ledger_deliver(struct ledger_actor *actor, struct ledger_input *input);

// Behind what is queued. 0 or -ENOMEM.
int ledger_queue_push(struct ledger_actor *actor, const struct ledger_input *input);

// The oldest queued input; its slices are lent until the next call on this actor. False: none.
bool ledger_queue_head(const struct ledger_actor *actor, struct ledger_input *out_input);
void ledger_queue_pop(struct ledger_actor *actor);

// What a worker says it has done must be the oldest entry of its lane. False: it is not, and
// nothing changed. The payload is not given.
bool ledger_commit(struct ledger_lane *lane, uint64_t id, uint32_t epoch, uint64_t sequence,
                   struct ledger_actor **out_actor, struct ledger_input *out_input);

// The last state that counts. 0 or -ENOMEM (the old one stays).
int ledger_state_set(struct ledger_actor *actor, uint32_t version, struct bytes state);

// The worker is gone. Every actor is unbound, with what was under way back at the front of its
// queue; those that had something under way are suspects, if the worker may have died of it. `lost`
// is called for each actor that was bound, when all that is done. 0 or -ENOMEM: then those whose
// inputs could not be kept are told so with `kept` false.
void ledger_lose(struct ledger_lane *lane, bool died,
                 void (*lost)(void *context, struct ledger_actor *actor, bool kept), void *context);

#endif
