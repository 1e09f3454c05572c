#include <stdlib.h>
#include <string.h>

#include <troupe/actor.h>

// Out of memory is an error value here, not the end of the process.
#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->hashed = false)
#include <uthash.h>

#include "actors.h"

enum { ACTORS_SAVE_ROOM = 256 }; // first guess for a state that is saved

struct actor_record {
    struct actor actor;
    UT_hash_handle hh;
    bool hashed;
    max_align_t state[]; // the user's
};

static struct actor_record *actors_record(struct actor *actor)
{
    return container_of(actor, struct actor_record, actor);
}

void actors_init(struct actors *actors, const struct troupe_actor *type)
{
    *actors = (struct actors){.type = type};
}

void actors_clear(struct actors *actors)
{
    struct actor_record *record;
    struct actor_record *next;

    HASH_ITER(hh, actors->records, record, next)
    actors_remove(actors, &record->actor);
    buffer_free(&actors->scratch);
}

struct actor *actors_add(struct actors *actors, uint64_t session)
{
    size_t state_size = actors->type->state_size;
    struct actor *old = actors_find(actors, session);
    struct actor_record *record = calloc(1, sizeof(*record) + state_size);

    if (record == NULL)
        return NULL;
    if (old != NULL)
        actors_remove(actors, old);
    record->actor.session = session;
    record->actor.version = actors->type->state_version;
    record->actor.state = state_size > 0 ? record->state : NULL;
    // Plain bytes start as zeros here and wherever it is restored, so zeros need no commit.
    if (actors->type->save == NULL && state_size > 0 &&
        buffer_append(&record->actor.saved, record->state, state_size) != 0) {
        free(record);
        return NULL;
    }
    record->hashed = true;
    HASH_ADD(hh, actors->records, actor.session, sizeof(session), record);
    if (record->hashed)
        return &record->actor;
    buffer_free(&record->actor.saved);
    free(record);
    return NULL;
}

// Makes the state from what was committed. 0, -EINVAL.
static int actors_revive(const struct troupe_actor *type, void *state, uint32_t version,
                         struct bytes saved, const char **out_why)
{
    int refused;

    if (version != type->state_version) {
        *out_why = "another version has committed the state, and there is no migrate that takes it";
        refused = type->migrate == NULL ? 1 : type->migrate(state, version, saved.data, saved.size);
    } else if (type->load != NULL) {
        *out_why = "load does not take the state that save has made";
        refused = type->load(state, saved.data, saved.size);
    } else {
        *out_why = "the committed state has another size: state_version should have grown";
        refused = saved.size != type->state_size;
        if (!refused && saved.size > 0)
            memcpy(state, saved.data, saved.size);
    }
    return refused ? -EINVAL : 0;
}

int actors_restore(struct actors *actors, uint64_t session, uint32_t version, struct bytes saved,
                   const char **out_why)
{
    struct actor *actor = actors_add(actors, session);
    int error;

    if (actor == NULL)
        return -ENOMEM;
    // Nothing was ever committed: it is as it was at its start.
    if (saved.size == 0)
        return 0;
    error = actors_revive(actors->type, actor->state, version, saved, out_why);
    buffer_truncate(&actor->saved, 0);
    actor->version = version;
    if (error == 0)
        error = buffer_append(&actor->saved, saved.data, saved.size);
    if (error != 0)
        actors_remove(actors, actor);
    return error;
}

struct actor *actors_find(const struct actors *actors, uint64_t session)
{
    struct actor_record *record;

    HASH_FIND(hh, actors->records, &session, sizeof(session), record);
    return record == NULL ? NULL : &record->actor;
}

void actors_remove(struct actors *actors, struct actor *actor)
{
    struct actor_record *record = actors_record(actor);

    // The analyzer does not know that a record that is there has a table.
    HASH_DEL(actors->records, record); // NOLINT(clang-analyzer-core.NullDereference)
    if (actors->type->drop != NULL && actor->state != NULL)
        actors->type->drop(actor->state);
    buffer_free(&actor->saved);
    free(record);
}

// The bytes of the state as they are now, in place or in the scratch buffer.
static int actors_save(struct actors *actors, const struct actor *actor, struct bytes *out_state)
{
    const struct troupe_actor *type = actors->type;
    size_t room = ACTORS_SAVE_ROOM;
    size_t size;

    if (type->save == NULL) {
        *out_state = (struct bytes){actor->state, type->state_size};
        return 0;
    }
    for (;;) {
        uint8_t *out;

        buffer_truncate(&actors->scratch, 0);
        out = buffer_reserve(&actors->scratch, room);
        if (out == NULL)
            return -ENOMEM;
        size = type->save(actor->state, out, room);
        if (size <= room)
            break;
        room = size;
    }
    buffer_commit(&actors->scratch, size);
    *out_state = (struct bytes){buffer_data(&actors->scratch), size};
    return 0;
}

int actors_changed(struct actors *actors, struct actor *actor, struct bytes *out_state)
{
    struct buffer fresh = {0};
    struct bytes state;
    int error;

    if (actor->state == NULL)
        return 0;
    error = actors_save(actors, actor, &state);
    if (error != 0)
        return error;
    // The same bytes mean something else in another version: after a migration all is new.
    if (actor->version == actors->type->state_version && state.size == buffer_size(&actor->saved) &&
        // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): a size is there, so are bytes
        (state.size == 0 || memcmp(state.data, buffer_data(&actor->saved), state.size) == 0))
        return 0;
    error = buffer_append(&fresh, state.data, state.size);
    if (error != 0)
        return error;
    buffer_free(&actor->saved);
    actor->saved = fresh;
    actor->version = actors->type->state_version;
    *out_state = (struct bytes){buffer_data(&fresh), state.size};
    return 1;
}
