#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"
#include "log.h"

// A look that comes this much too late says that this process was held up, not the worker.
enum { LINK_LATE_MS = 250 };

static void link_become(struct link *link, enum link_state next)
{
    // Which states may come before each state.
    static const unsigned before[] = {
        [LINK_GREETING] = 0,
        [LINK_UP] = 1U << LINK_GREETING,
        [LINK_LEAVING] = 1U << LINK_UP | 1U << LINK_LEAVING,
        [LINK_REFUSING] = 1U << LINK_GREETING,
        [LINK_CLOSING] =
            1U << LINK_GREETING | 1U << LINK_UP | 1U << LINK_LEAVING | 1U << LINK_REFUSING,
    };

    CHECK(before[next] & 1U << link->state);
    link->state = next;
}

static bool link_is_up(const struct link *link)
{
    return link->state == LINK_UP || link->state == LINK_LEAVING;
}

static void link_copy_text(char *out, size_t room, struct bytes text)
{
    size_t size = text.size < room - 1 ? text.size : room - 1;

    memcpy(out, text.data, size);
    out[size] = '\0';
}

static void link_encode(struct link *link, const struct envelope *envelope)
{
    if (envelope_encode(stream_outbox(link->stream), envelope) != 0)
        link_drop(link, "out of memory");
}

// The worker hangs up when it has read why: a stream that is closed on this side takes what was not
// read with it, a named pipe always, a unix socket when the reader sees the hang-up first.
static void link_refuse(struct link *link, const char *why)
{
    log_warn("link", "refused worker %u (process %llu): %s", (unsigned)link->worker,
             (unsigned long long)link->process_id, why);
    snprintf(link->why, sizeof(link->why), "refused: %s", why);
    link_encode(link, &(struct envelope){.kind = ENVELOPE_REFUSED,
                                         .text = {(const uint8_t *)why, strlen(why)}});
    if (link->state == LINK_CLOSING)
        return;
    link_become(link, LINK_REFUSING);
    stream_flush(link->stream);
}

// Compares in a time that does not tell where the difference is.
static bool link_token_matches(const struct link *link, struct bytes token)
{
    uint8_t difference = 0;

    if (token.size != link->config->token.size)
        return false;
    for (size_t i = 0; i < token.size; i++)
        difference |= (uint8_t)(token.data[i] ^ link->config->token.data[i]);
    return difference == 0;
}

static void link_name(struct link *link, const struct envelope *hello)
{
    char version[32];
    size_t size;

    link_copy_text(link->app, sizeof(link->app), hello->text);
    link_copy_text(version, sizeof(version), hello->text2);
    size = strlen(link->app);
    snprintf(link->app + size, sizeof(link->app) - size, " %s", version);
}

static void link_hello(struct link *link, const struct envelope *hello)
{
    const struct link_config *config = link->config;
    char why[96];

    link->worker = hello->worker;
    link->process_id = hello->process_id;
    if (hello->version != ENVELOPE_VERSION) {
        snprintf(why, sizeof(why), "it speaks link protocol %u, this gateway speaks %u",
                 (unsigned)hello->version, (unsigned)ENVELOPE_VERSION);
        link_refuse(link, why);
        return;
    }
    if (!link_token_matches(link, hello->token)) {
        link_refuse(link, "it belongs to another node");
        return;
    }
    link_name(link, hello);
    link_encode(link, &(struct envelope){.kind = ENVELOPE_WELCOME,
                                         .version = ENVELOPE_VERSION,
                                         .shard = config->shard,
                                         .shards = config->shards,
                                         .frame_max = config->frame_max,
                                         .seed = config->seed});
    if (link->state == LINK_CLOSING)
        return;
    link_become(link, LINK_UP);
    link_flush(link);
    config->handler->up(link);
}

static bool link_effects(struct link *link, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct envelope *effect = &link->effects[i];

        if (envelope_next(&link->reader, effect) != ENVELOPE_READY) {
            link_close(link, link->reader.why);
            return false;
        }
        if (effect->kind == ENVELOPE_STATE && effect->payload.size > link->config->state_max) {
            link_close(link, "it committed a state above gateway.state_max_bytes");
            return false;
        }
    }
    return true;
}

// Gathers the effects before the ledger hears of the commit: it counts whole or not at all.
static bool link_commit(struct link *link, const struct envelope *commit)
{
    struct link_commit whole = {.effects = link->effects, .effect_count = commit->effects};

    if (!link_effects(link, commit->effects))
        return false;
    whole.cleared = link->lane->suspect != NULL;
    if (!ledger_commit(link->lane, commit->session, commit->epoch, commit->sequence, &whole.actor,
                       &whole.input)) {
        link_close(link, "it committed what was not next");
        return false;
    }
    whole.cleared = whole.cleared && link->lane->suspect == NULL;
    link->moved_ms = link->heard_ms;
    link->config->handler->commit(link, &whole);
    return true;
}

// One envelope of an established link. False: the link is ending.
static bool link_take(struct link *link, const struct envelope *envelope)
{
    switch (envelope->kind) {
    case ENVELOPE_COMMIT:
        return link_commit(link, envelope);
    case ENVELOPE_PONG:
        if (link->proof == LINK_PROOF_ASKED && envelope->serial == link->proof_serial)
            link->proof = LINK_PROOF_GIVEN;
        return true;
    case ENVELOPE_LEAVING:
        link_become(link, LINK_LEAVING);
        link->config->handler->leaving(link);
        return true;
    default:
        link_close(link, "it said hello twice");
        return false;
    }
}

static void link_batch(void *owner, struct bytes body)
{
    struct link *link = owner;
    struct envelope envelope;
    enum envelope_result result = ENVELOPE_READY;
    bool more = true;

    if (link->state == LINK_REFUSING) { // it may have said more before it heard
        stream_next(link->stream);
        return;
    }
    link->heard_ms = link->config->now_ms();
    link->pings_open = 0;
    envelope_reader_start(&link->reader, body);
    while (more && (result = envelope_next(&link->reader, &envelope)) == ENVELOPE_READY) {
        if (link->state == LINK_GREETING && envelope.kind == ENVELOPE_HELLO) {
            link_hello(link, &envelope);
        } else if (link_is_up(link)) {
            more = link_take(link, &envelope);
        } else {
            link_close(link, "it spoke before hello");
            more = false;
        }
        more = more && link->state != LINK_REFUSING && link->state != LINK_CLOSING;
    }
    if (result == ENVELOPE_BAD)
        link_close(link, link->reader.why);
    stream_next(link->stream);
    if (link_is_up(link))
        link->config->handler->room(link);
}

static void link_closed(void *owner, int error)
{
    struct link *link = owner;

    if (link->state != LINK_CLOSING) {
        if (link->state != LINK_REFUSING)
            snprintf(link->why, sizeof(link->why), "%s", error_text(error));
        link_become(link, LINK_CLOSING);
    }
    link->config->handler->down(link, link->why);
    envelope_reader_destroy(&link->reader);
    ledger_lane_destroy(link->lane);
    free(link);
}

static int link_tick_hello(struct link *link, uint64_t now_ms)
{
    uint64_t due_ms = link->heard_ms + LINK_HELLO_TIMEOUT_MS;

    if (due_ms > now_ms)
        return (int)(due_ms - now_ms);
    link_close(link, link->state == LINK_GREETING ? "no hello" : link->why);
    return -1;
}

// Busy: its turns have their own time-out, and it cannot answer a PING during one.
static int link_tick_turn(struct link *link, uint64_t now_ms)
{
    uint64_t due_ms = link->moved_ms + link->config->turn_timeout_ms;

    if (link->config->turn_timeout_ms == 0)
        return -1;
    if (due_ms + LINK_LATE_MS < now_ms) {
        // The answer may be waiting in the system.
        link->moved_ms += now_ms - due_ms + LINK_LATE_MS;
        due_ms = now_ms + LINK_LATE_MS;
    }
    if (due_ms > now_ms)
        return (int)(due_ms - now_ms);
    link->hung = true;
    link_close(link, "no answer within gateway.turn_timeout_ms");
    return -1;
}

static int link_tick_heartbeat(struct link *link, uint64_t now_ms)
{
    uint64_t last_ms = link->asked_ms > link->heard_ms ? link->asked_ms : link->heard_ms;
    uint64_t due_ms = last_ms + link->config->heartbeat_ms;

    if (due_ms > now_ms)
        return (int)(due_ms - now_ms);
    if (link->pings_open == LINK_HEARTBEAT_MISSES) {
        link->hung = true;
        link_close(link, "three heartbeats missed");
        return -1;
    }
    link->pings_open++;
    link->asked_ms = now_ms;
    link_encode(link, &(struct envelope){.kind = ENVELOPE_PING, .serial = ++link->ping_serial});
    link_flush(link);
    return (int)link->config->heartbeat_ms;
}

int link_open(struct link **out_link, struct stream *stream, const struct link_config *config)
{
    static const struct stream_handler handler = {
        .batch = link_batch,
        .closed = link_closed,
    };
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL)
        goto fail_link;
    link->lane = ledger_lane_create();
    if (link->lane == NULL)
        goto fail_lane;
    link->lane->owner = link;
    if (envelope_reader_create(&link->reader, ENVELOPE_FROM_WORKER) != 0)
        goto fail_reader;
    link->config = config;
    link->stream = stream;
    link->heard_ms = config->now_ms();
    list_init(&link->node);
    list_init(&link->waiting);
    list_init(&link->suspects);
    *out_link = link;
    stream_start(stream, &handler, link);
    return 0;

fail_reader:
    ledger_lane_destroy(link->lane);
fail_lane:
    free(link);
fail_link:
    stream_close(stream);
    return -ENOMEM;
}

void link_restore(struct link *link, const struct ledger_actor *actor)
{
    link_encode(link, &(struct envelope){
                          .kind = ENVELOPE_RESTORE,
                          .session = actor->id,
                          .epoch = actor->epoch,
                          .sequence = actor->committed,
                          .state_version = actor->state_version,
                          .payload = {buffer_data(&actor->state), buffer_size(&actor->state)}});
}

void link_deliver(struct link *link, const struct ledger_actor *actor,
                  const struct ledger_input *input)
{
    uint64_t tag = 0;

    if (link->lane->count == 1)
        link->moved_ms = link->config->now_ms();
    if (input->kind == ENVELOPE_FIRED && input->payload.size == sizeof(tag))
        memcpy(&tag, input->payload.data, sizeof(tag));
    link_encode(link, &(struct envelope){.kind = (enum envelope_kind)input->kind,
                                         .session = actor->id,
                                         .epoch = actor->epoch,
                                         .sequence = input->sequence,
                                         .now_ms = input->now_ms,
                                         .prefix = input->prefix,
                                         .tag = tag,
                                         .text = input->payload,
                                         .payload = input->payload});
}

void link_drained(struct link *link)
{
    link_encode(link, &(struct envelope){.kind = ENVELOPE_DRAIN});
}

bool link_proven(struct link *link)
{
    if (link->proof == LINK_PROOF_NONE) {
        link->proof = LINK_PROOF_ASKED;
        link->proof_serial = ++link->ping_serial;
        link_encode(link, &(struct envelope){.kind = ENVELOPE_PING, .serial = link->proof_serial});
    }
    return link->proof == LINK_PROOF_GIVEN;
}

void link_doubt(struct link *link)
{
    if (link->proof == LINK_PROOF_GIVEN)
        link->proof = LINK_PROOF_NONE;
}

void link_flush(struct link *link)
{
    stream_flush(link->stream);
}

int link_tick(struct link *link)
{
    uint64_t now_ms = link->config->now_ms();

    if (link->state == LINK_CLOSING)
        return -1;
    if (!link_is_up(link))
        return link_tick_hello(link, now_ms);
    if (link->lane->count > 0)
        return link_tick_turn(link, now_ms);
    return link_tick_heartbeat(link, now_ms);
}

void link_close(struct link *link, const char *why)
{
    if (link->state == LINK_CLOSING)
        return;
    link_become(link, LINK_CLOSING);
    if (why != link->why)
        snprintf(link->why, sizeof(link->why), "%s", why);
    stream_close(link->stream);
}

void link_drop(struct link *link, const char *why)
{
    if (link->state != LINK_CLOSING)
        link->ours = true;
    link_close(link, why);
}
