#include <string.h>

#include <troupe/actor.h>

#include "turn.h"

enum {
    TURN_KEEP_BYTES = 64 * 1024,
    TURN_EFFECTS_MAX = ENVELOPE_EFFECTS_MAX - 1, // of the callbacks: one is for the state
};

// Steps a 64-bit state by a fixed odd number and mixes it (the construction of splitmix64).
static uint64_t turn_mix(uint64_t *state)
{
    uint64_t mixed = *state += 0x9E3779B97F4A7C15U;

    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBU;
    return mixed ^ mixed >> 31;
}

void turn_begin(struct troupe_turn *turn, const struct envelope *input, uint32_t frame_max,
                uint64_t seed)
{
    turn->session = input->session;
    turn->sequence = input->sequence;
    turn->epoch = input->epoch;
    turn->frame_max = frame_max;
    turn->now_ms = input->now_ms;
    // Each is mixed in by itself, so that neighbouring sessions and turns have nothing in common.
    turn->random = seed ^ input->session;
    turn->random = turn_mix(&turn->random) ^ input->sequence;
    turn->effect_count = 0;
    buffer_truncate(&turn->effects, 0);
    buffer_trim(&turn->effects, TURN_KEEP_BYTES);
}

int turn_state(struct troupe_turn *turn, uint32_t version, struct bytes state)
{
    int error;

    if (state.size > TURN_STATE_MAX)
        return -EMSGSIZE;
    error = envelope_encode(
        &turn->effects,
        &(struct envelope){.kind = ENVELOPE_STATE, .state_version = version, .payload = state});
    if (error == 0)
        turn->effect_count++;
    return error;
}

int turn_commit(struct troupe_turn *turn, struct buffer *outbox)
{
    size_t before = buffer_size(outbox);
    int error = envelope_encode(outbox, &(struct envelope){.kind = ENVELOPE_COMMIT,
                                                           .session = turn->session,
                                                           .epoch = turn->epoch,
                                                           .sequence = turn->sequence,
                                                           .effects = turn->effect_count});

    if (error == 0 && turn->effect_count > 0)
        error = buffer_append(outbox, buffer_data(&turn->effects), buffer_size(&turn->effects));
    if (error != 0)
        buffer_truncate(outbox, before);
    return error;
}

void turn_fini(struct troupe_turn *turn)
{
    buffer_free(&turn->effects);
}

static int turn_add(struct troupe_turn *turn, const struct envelope *effect)
{
    int error;

    if (turn->effect_count == TURN_EFFECTS_MAX || buffer_size(&turn->effects) >= TURN_BYTES_MAX)
        return -ENOBUFS;
    error = envelope_encode(&turn->effects, effect);
    if (error == 0)
        turn->effect_count++;
    return error;
}

int troupe_reply(struct troupe_turn *turn, const void *data, size_t size)
{
    if (size > turn->frame_max)
        return -EMSGSIZE;
    return turn_add(turn, &(struct envelope){.kind = ENVELOPE_REPLY, .payload = {data, size}});
}

int troupe_send(struct troupe_turn *turn, uint64_t session, const void *data, size_t size)
{
    if (size > turn->frame_max)
        return -EMSGSIZE;
    return turn_add(turn, &(struct envelope){
                              .kind = ENVELOPE_SEND, .session = session, .payload = {data, size}});
}

static int turn_add_group(struct troupe_turn *turn, const char *group, struct envelope *effect)
{
    effect->text = (struct bytes){(const uint8_t *)group, strlen(group)};
    return turn_add(turn, effect);
}

int troupe_join(struct troupe_turn *turn, const char *group)
{
    return turn_add_group(turn, group, &(struct envelope){.kind = ENVELOPE_JOIN});
}

int troupe_leave(struct troupe_turn *turn, const char *group)
{
    return turn_add_group(turn, group, &(struct envelope){.kind = ENVELOPE_LEAVE});
}

int troupe_publish(struct troupe_turn *turn, const char *group, uint64_t except, const void *data,
                   size_t size)
{
    if (size > turn->frame_max)
        return -EMSGSIZE;
    return turn_add_group(
        turn, group,
        &(struct envelope){.kind = ENVELOPE_PUBLISH, .session = except, .payload = {data, size}});
}

int troupe_after(struct troupe_turn *turn, uint64_t tag, uint32_t after_ms, uint32_t every_ms)
{
    return turn_add(
        turn, &(struct envelope){
                  .kind = ENVELOPE_TIMER, .tag = tag, .after_ms = after_ms, .every_ms = every_ms});
}

int troupe_cancel(struct troupe_turn *turn, uint64_t tag)
{
    return turn_add(turn, &(struct envelope){.kind = ENVELOPE_CANCEL, .tag = tag});
}

int troupe_close(struct troupe_turn *turn)
{
    return turn_add(turn, &(struct envelope){.kind = ENVELOPE_END});
}

uint64_t troupe_now_ms(const struct troupe_turn *turn)
{
    return turn->now_ms;
}

uint64_t troupe_random(struct troupe_turn *turn)
{
    return turn_mix(&turn->random);
}

uint64_t troupe_turn_number(const struct troupe_turn *turn)
{
    return turn->sequence;
}

uint64_t troupe_session(const struct troupe_turn *turn)
{
    return turn->session;
}

size_t troupe_frame_max(const struct troupe_turn *turn)
{
    return turn->frame_max;
}
