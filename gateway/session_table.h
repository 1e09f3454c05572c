// session_table.h - the fixed slots of a shard's sessions, and their ids.
// Floor 2. One noun with session.h.
//
// An id is shard (8 bits) : generation (32 bits) : index (24 bits); the generation grows each time
// a slot is taken, so a late reference never finds a successor. All memory is allocated at
// creation; the system backs it with pages when a slot is first used. Owner: the shard's thread.
#ifndef TROUPE_SESSION_TABLE_H
#define TROUPE_SESSION_TABLE_H

#include "session.h"

enum { SESSION_TABLE_MAX = 1 << 24 };

struct session_table {
    struct session_shared *shared;
    struct session *slots;
    uint32_t capacity;
    uint32_t used;
    uint32_t touched; // slots that were ever taken: the first ones
    uint8_t shard;
    struct list free; // slots given back
};

// 0 or -ENOMEM. capacity: 1 to SESSION_TABLE_MAX.
int session_table_init(struct session_table *table, struct session_shared *shared, uint8_t shard,
                       uint32_t capacity);
void session_table_fini(struct session_table *table); // every slot must have been released

// A slot with a new id, or NULL when all are taken.
struct session *session_table_take(struct session_table *table);

// The session with this id, or NULL when there is none (any more), or it is another shard's.
struct session *session_table_find(const struct session_table *table, uint64_t id);

// True when an id of this form would be this shard's.
bool session_table_owns(const struct session_table *table, uint64_t id);
uint8_t session_table_shard(uint64_t id);

// Gives a CLOSED session's slot back.
void session_table_release(struct session_table *table, struct session *session);

// Calls fn for each taken slot; fn may release that one.
void session_table_each(struct session_table *table, void (*fn)(struct session *session));

#endif
