#include <troupe/actor.h>

#include "turn.h"

enum { TURN_KEEP_BYTES = 64 * 1024 };

void turn_begin(struct troupe_turn *turn, const struct envelope *input, uint32_t frame_max)
{
    turn->session = input->session;
    turn->sequence = input->sequence;
    turn->epoch = input->epoch;
    turn->frame_max = frame_max;
    turn->effect_count = 0;
    buffer_truncate(&turn->effects, 0);
    buffer_trim(&turn->effects, TURN_KEEP_BYTES);
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

    if (turn->effect_count == ENVELOPE_EFFECTS_MAX || buffer_size(&turn->effects) >= TURN_BYTES_MAX)
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

int troupe_close(struct troupe_turn *turn)
{
    return turn_add(turn, &(struct envelope){.kind = ENVELOPE_END});
}

uint64_t troupe_session(const struct troupe_turn *turn)
{
    return turn->session;
}

size_t troupe_frame_max(const struct troupe_turn *turn)
{
    return turn->frame_max;
}
