#include <stdlib.h>

#include "session_table.h"

enum { INDEX_BITS = 24, GENERATION_BITS = 32 };

static uint32_t session_table_index(const struct session_table *table,
                                    const struct session *session)
{
    return (uint32_t)(session - table->slots);
}

static uint64_t session_table_id(const struct session_table *table, uint32_t index,
                                 uint32_t generation)
{
    return (uint64_t)table->shard << (GENERATION_BITS + INDEX_BITS) |
           (uint64_t)generation << INDEX_BITS | index;
}

static uint32_t session_table_generation(uint64_t id)
{
    return (uint32_t)(id >> INDEX_BITS);
}

int session_table_init(struct session_table *table, struct session_shared *shared, uint8_t shard,
                       uint32_t capacity)
{
    CHECK(capacity >= 1 && capacity <= SESSION_TABLE_MAX);
    *table = (struct session_table){.shared = shared, .capacity = capacity, .shard = shard};
    list_init(&table->free);
    table->slots = calloc(capacity, sizeof(*table->slots));
    return table->slots == NULL ? -ENOMEM : 0;
}

void session_table_fini(struct session_table *table)
{
    CHECK(table->used == 0);
    free(table->slots);
    table->slots = NULL;
}

struct session *session_table_take(struct session_table *table)
{
    struct list *node = list_pop(&table->free);
    struct session *session;
    uint32_t index;

    if (node != NULL) {
        session = container_of(node, struct session, free);
    } else if (table->touched < table->capacity) {
        session = &table->slots[table->touched++];
        session->shared = table->shared;
        list_init(&session->place);
        list_init(&session->flush);
        list_init(&session->free);
    } else {
        return NULL;
    }
    index = session_table_index(table, session);
    session->id = session_table_id(table, index, session_table_generation(session->id) + 1);
    table->used++;
    return session;
}

struct session *session_table_find(const struct session_table *table, uint64_t id)
{
    uint32_t index = (uint32_t)(id & ((1U << INDEX_BITS) - 1));
    struct session *session;

    if (index >= table->touched)
        return NULL;
    session = &table->slots[index];
    return session->id == id && session->state != SESSION_FREE ? session : NULL;
}

bool session_table_owns(const struct session_table *table, uint64_t id)
{
    return session_table_shard(id) == table->shard;
}

uint8_t session_table_shard(uint64_t id)
{
    return (uint8_t)(id >> (GENERATION_BITS + INDEX_BITS));
}

void session_table_release(struct session_table *table, struct session *session)
{
    session_release(session);
    table->used--;
    list_push(&table->free, &session->free);
}

void session_table_each(struct session_table *table, void (*fn)(struct session *session))
{
    for (uint32_t i = 0; i < table->touched; i++) {
        if (table->slots[i].state != SESSION_FREE)
            fn(&table->slots[i]);
    }
}
