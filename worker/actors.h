// actors.h - the actors that live in this worker, found by session, each with its state.
// Floor 2. Pure.
//
//   1. actors_init(); actors_add() for OPEN, actors_restore() for RESTORE
//   2. actors_find() for each input; the callback works on actor->state
//   3. actors_changed() after it: what the gateway must remember, if that is something new
//   4. actors_remove() after CLOSE; actors_clear() when the link is gone: they live elsewhere now
//
// What was last committed is kept beside the state and compared: nobody has to say what changed. A
// state that was migrated counts as changed.
#ifndef TROUPE_ACTORS_H
#define TROUPE_ACTORS_H

#include "base.h"
#include "buffer.h"

struct troupe_actor;

struct actor_record;

struct actors {
    const struct troupe_actor *type;
    struct actor_record *records; // a hash table by session
    struct buffer scratch;        // of a state being saved
};

struct actor {
    uint64_t session;
    void *state;         // type->state_size bytes, aligned for anything; NULL when that is 0
    struct buffer saved; // what the gateway has
    uint32_t version;    // of saved
};

void actors_init(struct actors *actors, const struct troupe_actor *type);
void actors_clear(struct actors *actors); // also at the end: nothing is left allocated

// A new actor with a zeroed state. One of the same session is replaced. NULL: out of memory.
struct actor *actors_add(struct actors *actors, uint64_t session);

// An actor from what another worker has committed. 0, -ENOMEM, -EINVAL with a static text in
// out_why.
int actors_restore(struct actors *actors, uint64_t session, uint32_t version, struct bytes saved,
                   const char **out_why);

struct actor *actors_find(const struct actors *actors, uint64_t session);
void actors_remove(struct actors *actors, struct actor *actor);

// 0: nothing new. 1: *out_state is what the gateway must have, lent until the next call. -ENOMEM.
int actors_changed(struct actors *actors, struct actor *actor, struct bytes *out_state);

#endif
