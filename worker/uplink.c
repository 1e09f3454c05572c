#include <stdio.h>
#include <string.h>

#include "frame.h"
#include "log.h"
#include "os.h"
#include "uplink.h"

static void uplink_become(struct uplink *uplink, enum uplink_state next)
{
    static const unsigned before[] = {
        [UPLINK_DIALLING] = 1U << UPLINK_PAUSING,
        [UPLINK_GREETING] = 1U << UPLINK_DIALLING,
        [UPLINK_UP] = 1U << UPLINK_GREETING,
        [UPLINK_PAUSING] = 1U << UPLINK_DIALLING | 1U << UPLINK_GREETING | 1U << UPLINK_UP,
        [UPLINK_REFUSED] = 1U << UPLINK_GREETING,
        [UPLINK_CLOSING] = 1U << UPLINK_DIALLING | 1U << UPLINK_GREETING | 1U << UPLINK_UP |
                           1U << UPLINK_PAUSING | 1U << UPLINK_REFUSED,
        [UPLINK_CLOSED] = 1U << UPLINK_CLOSING | 1U << UPLINK_REFUSED,
    };

    CHECK(before[next] & 1U << uplink->state);
    uplink->state = next;
}

void uplink_break(struct uplink *uplink)
{
    uplink->reading = false;
    stream_close(uplink->stream);
}

static void uplink_encode(struct uplink *uplink, const struct envelope *envelope)
{
    if (envelope_encode(stream_outbox(uplink->stream), envelope) != 0)
        uplink_break(uplink);
}

static struct bytes uplink_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void uplink_opened(void *owner)
{
    struct uplink *uplink = owner;
    const struct uplink_config *config = uplink->config;

    if (uplink->state != UPLINK_DIALLING)
        return;
    uplink_become(uplink, UPLINK_GREETING);
    uplink_encode(uplink, &(struct envelope){.kind = ENVELOPE_HELLO,
                                             .version = ENVELOPE_VERSION,
                                             .token = uplink_text(config->token),
                                             .worker = config->worker,
                                             .process_id = config->process_id,
                                             .text = uplink_text(config->app),
                                             .text2 = uplink_text(config->app_version),
                                             .types = uplink_text(config->app)});
    stream_flush(uplink->stream);
}

static void uplink_batch(void *owner, struct bytes body)
{
    struct uplink *uplink = owner;

    envelope_reader_start(&uplink->reader, body);
    uplink->reading = true;
}

static void uplink_end(struct uplink *uplink)
{
    uplink_become(uplink, UPLINK_CLOSED);
    envelope_reader_destroy(&uplink->reader);
    uplink->config->changed(uplink->config->owner, uplink);
}

static void uplink_closed(void *owner, int error)
{
    struct uplink *uplink = owner;

    uplink->stream = NULL;
    uplink->reading = false;
    if (uplink->state == UPLINK_CLOSING || uplink->state == UPLINK_REFUSED) {
        uplink_end(uplink);
        return;
    }
    log_info("uplink", "shard %u is gone: %s, dialling again", (unsigned)uplink->shard,
             error_text(error));
    uplink_become(uplink, UPLINK_PAUSING);
    uplink->dial_ms = uplink->config->now_ms() + UPLINK_PAUSE_MS;
    uplink->config->changed(uplink->config->owner, uplink);
}

static int uplink_dial(struct uplink *uplink)
{
    static const struct stream_handler handler = {
        .opened = uplink_opened,
        .batch = uplink_batch,
        .closed = uplink_closed,
    };
    char address[OS_PATH_MAX + 16];

    snprintf(address, sizeof(address), "%s-%u", uplink->config->address, (unsigned)uplink->shard);
    return stream_dial(&uplink->stream, uplink->config->port, address, ENVELOPE_BATCH_MAX, &handler,
                       uplink);
}

static void uplink_refused(struct uplink *uplink, const struct envelope *refusal)
{
    log_error("uplink", "refused by shard %u: %.*s", (unsigned)uplink->shard,
              (int)refusal->text.size, (const char *)refusal->text.data);
    uplink_become(uplink, UPLINK_REFUSED);
    uplink_break(uplink);
    uplink->config->changed(uplink->config->owner, uplink);
}

static void uplink_welcome(struct uplink *uplink, const struct envelope *welcome)
{
    if (welcome->version != ENVELOPE_VERSION || welcome->shard != uplink->shard) {
        log_error("uplink", "shard %u answers as shard %u, link protocol %u",
                  (unsigned)uplink->shard, (unsigned)welcome->shard, (unsigned)welcome->version);
        uplink_break(uplink);
        return;
    }
    if (welcome->frame_max > FRAME_PAYLOAD_MAX) {
        log_error("uplink", "shard %u allows frames of %u bytes", (unsigned)uplink->shard,
                  (unsigned)welcome->frame_max);
        uplink_break(uplink);
        return;
    }
    uplink->frame_max = welcome->frame_max;
    uplink->seed = welcome->seed;
    uplink->drained = false;
    uplink_become(uplink, UPLINK_UP);
    uplink->config->changed(uplink->config->owner, uplink);
}

// What is not an input. A gateway that breaks the protocol loses the link and is dialled again.
static void uplink_control(struct uplink *uplink, const struct envelope *envelope)
{
    if (uplink->state == UPLINK_GREETING && envelope->kind == ENVELOPE_WELCOME) {
        uplink_welcome(uplink, envelope);
    } else if (uplink->state == UPLINK_GREETING && envelope->kind == ENVELOPE_REFUSED) {
        uplink_refused(uplink, envelope);
    } else if (uplink->state == UPLINK_UP && envelope->kind == ENVELOPE_PING) {
        uplink_encode(uplink,
                      &(struct envelope){.kind = ENVELOPE_PONG, .serial = envelope->serial});
    } else if (uplink->state == UPLINK_UP && envelope->kind == ENVELOPE_DRAIN) {
        uplink->drained = true;
        uplink->config->changed(uplink->config->owner, uplink);
    } else {
        log_error("uplink", "shard %u said '%s' when it may not", (unsigned)uplink->shard,
                  envelope_kind_text(envelope->kind));
        uplink_break(uplink);
    }
}

static bool uplink_is_input(const struct uplink *uplink, const struct envelope *envelope)
{
    return uplink->state == UPLINK_UP &&
           (envelope->kind == ENVELOPE_OPEN || envelope->kind == ENVELOPE_FRAME ||
            envelope->kind == ENVELOPE_CLOSE || envelope->kind == ENVELOPE_RESTORE ||
            envelope->kind == ENVELOPE_FIRED);
}

int uplink_open(struct uplink *uplink, const struct uplink_config *config, uint32_t shard)
{
    int error;

    *uplink = (struct uplink){.config = config, .shard = shard};
    error = envelope_reader_create(&uplink->reader, ENVELOPE_FROM_GATEWAY);
    if (error != 0)
        return error;
    error = uplink_dial(uplink);
    if (error != 0)
        envelope_reader_destroy(&uplink->reader);
    return error;
}

bool uplink_next(struct uplink *uplink, struct envelope *out_input)
{
    while (uplink->reading) {
        switch (envelope_next(&uplink->reader, out_input)) {
        case ENVELOPE_READY:
            if (uplink_is_input(uplink, out_input))
                return true;
            uplink_control(uplink, out_input);
            break;
        case ENVELOPE_END_OF_BATCH:
            uplink->reading = false;
            stream_next(uplink->stream);
            break;
        default:
            log_error("uplink", "shard %u sent a broken batch: %s", (unsigned)uplink->shard,
                      uplink->reader.why);
            uplink_break(uplink);
            break;
        }
    }
    return false;
}

bool uplink_room(const struct uplink *uplink)
{
    return uplink->stream != NULL && stream_unsent(uplink->stream) < UPLINK_UNSENT_MAX;
}

struct buffer *uplink_outbox(struct uplink *uplink)
{
    return stream_outbox(uplink->stream);
}

void uplink_flush(struct uplink *uplink)
{
    if (uplink->stream != NULL)
        stream_flush(uplink->stream);
}

bool uplink_drained(const struct uplink *uplink)
{
    return uplink->stream == NULL || uplink->state != UPLINK_UP ||
           (!stream_sending(uplink->stream) && stream_unsent(uplink->stream) == 0);
}

void uplink_leave(struct uplink *uplink)
{
    if (uplink->state != UPLINK_UP)
        return;
    uplink_encode(uplink, &(struct envelope){.kind = ENVELOPE_LEAVING});
    uplink_flush(uplink);
}

int uplink_tick(struct uplink *uplink)
{
    uint64_t now_ms = uplink->config->now_ms();

    if (uplink->stream == NULL && uplink->state == UPLINK_CLOSING)
        uplink_end(uplink);
    if (uplink->state != UPLINK_PAUSING)
        return -1;
    if (uplink->dial_ms > now_ms)
        return (int)(uplink->dial_ms - now_ms);
    if (uplink_dial(uplink) == 0) {
        uplink_become(uplink, UPLINK_DIALLING);
        return -1;
    }
    uplink->dial_ms = now_ms + UPLINK_PAUSE_MS; // out of memory, for now
    return UPLINK_PAUSE_MS;
}

void uplink_close(struct uplink *uplink)
{
    if (uplink->state == UPLINK_CLOSING || uplink->state == UPLINK_CLOSED)
        return;
    uplink_become(uplink, UPLINK_CLOSING);
    uplink->reading = false;
    if (uplink->stream != NULL)
        stream_close(uplink->stream);
}
