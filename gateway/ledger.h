// ledger.h - what the gateway remembers of actors: inputs, commits, state, and who owes an answer.
// Floor 1. Pure: no I/O, no clock; what an input is, is the caller's business.
//
// An actor is a record that some object embeds (a session). A lane is the ledger's side of a link:
// the inputs that are under way, that is delivered to its worker and not committed, oldest first.
// Workers commit in the order of delivery, so a lane is a queue, and what a lost worker still owed
// is all of it.
//
//   1. ledger_actor_init(), ledger_lane_create()
//   2. ledger_bind() an actor to a lane: a new epoch
//   3. an input comes: when nothing is queued and ledger_ready(), ledger_deliver() it, then send it
//      to the worker (and before it the actor's state, if ledger_restore_due() said so beforehand).
//      Otherwise it waits where it is (a frame in its connection), or ledger_queue_push() keeps it
//   4. when something may go on: ledger_queue_head() shows the oldest that is queued; deliver it as
//      in 3, then ledger_queue_pop()
//   5. a commit comes: ledger_commit(), then its effects, ledger_state_set() among them
//   6. the worker is lost: ledger_lose() takes everything back into the actors' queues, in order,
//      before anything newer; bind them elsewhere and go on at 4
//   7. an actor ends: ledger_unbind() when nothing is under way, ledger_actor_fini()
//
// Inputs are numbered by actor, in the order of delivery: 1, 2, 3 ... What comes back goes out
// again first and in its old order, so it gets its old number, and has its old time: actor id and
// sequence identify a turn for good.
//
// An actor that had inputs under way when its worker died is a suspect until it commits once. A
// suspect has one input under way at most, and a lane one suspect; actors that are trusted go on
// beside it. Death with a suspect's input under way is a strike for the suspect, and it is the last
// of its lane to go on then; its next commit clears its strikes.
#ifndef TROUPE_LEDGER_H
#define TROUPE_LEDGER_H

#include "base.h"
#include "buffer.h"

enum {
    LEDGER_LANE_INPUTS = 4096,
    LEDGER_LANE_BYTES = 1024 * 1024, // one larger input may travel alone
    LEDGER_INPUT_OVERHEAD = 64,      // cost of an input beyond its payload
};

struct ledger_input {
    uint32_t kind;       // the caller's
    uint64_t sequence;   // 1, 2, 3 ... of its actor; given by ledger_deliver()
    uint64_t now_ms;     // when it first came in; the same in a replay
    struct bytes prefix; // goes before payload; both together stay below 4 GiB
    struct bytes payload;
};

// Inputs kept by value, oldest first.
struct ledger_queue {
    struct buffer bytes;
    uint32_t count;
};

enum ledger_trust {
    LEDGER_TRUSTED,
    LEDGER_SUSPECT, // a worker died, perhaps of its input; nothing is under way
    LEDGER_TRIED,   // a suspect that has its one input under way
};

struct ledger_lane;

struct ledger_actor {
    uint64_t id;
    struct ledger_lane *lane; // NULL: no worker has it
    uint32_t epoch;           // of the present or last binding; 0 = never bound
    uint64_t committed;       // sequence of the last input committed
    uint64_t delivered;       // of the last one delivered; equal to committed: nothing is under way
    enum ledger_trust trust;
    uint32_t strikes;    // deaths in a row with this suspect's input under way
    bool introduced;     // the present worker knows it
    bool torn;           // an input was lost for want of memory: it cannot go on
    struct buffer state; // last committed; empty = none
    uint32_t state_version;
    struct ledger_queue queue; // waits for delivery, before anything newer
    struct ledger_queue back;  // within ledger_lose() only: what comes back from the lane
    struct list of_lane;       // in bound of its lane
    struct list waiting;       // the caller's
};

// An input under way. Its bytes are in the lane's payloads.
struct ledger_entry {
    struct ledger_actor *actor;
    uint64_t sequence;
    uint64_t now_ms;
    uint32_t prefix;
    uint32_t bytes; // prefix included
    uint32_t kind;
    uint64_t cost; // in the window: bytes, overhead, and the state that went before it
};

struct ledger_lane {
    void *owner;       // the caller's: its link
    struct list bound; // its actors
    uint32_t load;     // how many they are
    uint32_t first;    // of entries, which is a ring: the oldest
    uint32_t count;
    uint64_t cost;                // bytes under way, overhead included
    struct ledger_actor *suspect; // the one that is tried now, NULL = none
    struct buffer payloads;       // of the entries, in order
    struct ledger_entry entries[LEDGER_LANE_INPUTS];
};

void ledger_actor_init(struct ledger_actor *actor, uint64_t id);
void ledger_actor_fini(struct ledger_actor *actor); // it is not bound; what it had is dropped

struct ledger_lane *ledger_lane_create(void);       // NULL: out of memory
void ledger_lane_destroy(struct ledger_lane *lane); // nothing bound; NULL is fine

// A new epoch begins. It must not be bound.
void ledger_bind(struct ledger_actor *actor, struct ledger_lane *lane);

// Nothing of the actor may be under way. Harmless when it is not bound.
void ledger_unbind(struct ledger_actor *actor);

// True when the worker must be sent the actor's state before its next input: the actor has lived in
// another. Ask before ledger_deliver(), which takes it as done.
bool ledger_restore_due(const struct ledger_actor *actor);

// True when an input of so many bytes may be delivered now: the actor is bound, the lane has room,
// and if the actor is a suspect, neither it nor another suspect of the lane has an input under way.
bool ledger_ready(const struct ledger_actor *actor, size_t bytes);

// The input goes out: it gets its sequence, and is kept until its commit. Only when ledger_ready();
// and while something is queued, only the head of the queue. 0 or -ENOMEM (nothing changed).
int ledger_deliver(struct ledger_actor *actor, struct ledger_input *input);

// Keeps an input behind what is queued; how much that may be, the caller says. 0 or -ENOMEM
// (nothing changed).
int ledger_queue_push(struct ledger_actor *actor, const struct ledger_input *input);

// The oldest queued input, without a sequence. Its slices are lent until the queue changes: by
// push, by pop, or by the loss of the lane. False: none.
bool ledger_queue_head(const struct ledger_actor *actor, struct ledger_input *out_input);
void ledger_queue_pop(struct ledger_actor *actor); // there must be one

// What a worker says it has done must be the oldest entry of its lane. False: it is not, and
// nothing changed. The input's bytes are lent until the next
// call on this lane.
bool ledger_commit(struct ledger_lane *lane, uint64_t id, uint32_t epoch, uint64_t sequence,
                   struct ledger_actor **out_actor, struct ledger_input *out_input);

// What the actor goes on from after a loss; not a slice of its own state. 0 or -ENOMEM (the old one
// stays).
int ledger_state_set(struct ledger_actor *actor, uint32_t version, struct bytes state);

// The worker is gone. Every actor of the lane is unbound, and what it had under way is back at the
// front of its queue. `died`: perhaps of an input; then those who had one under way are suspects,
// and the one that was tried gets its strike. When all that is done, `lost` is called for each
// actor: it may end it or bind it, may end others, and may destroy the lane; no actor is bound
// before it was called for it. kept false: there was no memory for what came back; the actor's
// queue is empty, and all that is left is to end it.
void ledger_lose(struct ledger_lane *lane, bool died,
                 void (*lost)(void *context, struct ledger_actor *actor, bool kept), void *context);

#endif
