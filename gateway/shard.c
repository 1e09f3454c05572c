#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "os.h"
#include "shard.h"

enum { SHARD_OPS_SPARE = 64 }; // operations beyond those of sessions and accepts

static uint32_t shard_capacity(const struct shard_group *group, uint32_t index)
{
    return group->sessions_max / group->count + (index < group->sessions_max % group->count);
}

static void shard_hung(uint32_t worker, uint64_t process_id, const char *why)
{
    char line[256];
    int size = snprintf(line, sizeof(line), "troupe: hung worker=%u pid=%" PRIu64 " why=%s\n",
                        (unsigned)worker, process_id, why);

    os_write_stdout(line, (size_t)size);
}

static struct bytes shard_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void shard_poisoned(const struct session *session, const struct ledger_input *input,
                           const struct link *link, const char *why)
{
    struct router *router = session->shared->owner;
    struct shard *shard = container_of(router, struct shard, router);
    const char *kind = envelope_kind_text((enum envelope_kind)input->kind);
    char time[LOG_TIME_MAX];
    char peer[ADDR_TEXT_MAX];
    struct deadletter letter = {
        .time = shard_text(log_time_text(os_now_utc_ms(), time)),
        .session = session->id,
        .sequence = input->sequence,
        .kind = shard_text(kind),
        .size = (uint64_t)input->prefix.size + input->payload.size,
        .app = shard_text(link->app),
        .peer = shard_text(addr_text(&session->peer, peer)),
        .why = shard_text(why),
        .prefix = input->prefix,
        .payload = input->payload,
    };
    bool is_kept = deadletter_keep(&shard->deadletters, &letter);

    log_error("shard",
              "an input of '%s' ended one worker after another: '%s' of %" PRIu64 " bytes%s", peer,
              kind, letter.size, is_kept ? ", kept as a dead letter" : "");
}

// A send or a publish on its way to another shard and back: the sender frees it, so that it can
// limit what it has under way.
struct shard_mail {
    struct port_op op;
    struct shard *from;
    struct shard *to;
    struct envelope effect;
    size_t size;
    uint8_t bytes[]; // text, then payload
};

static void shard_mail_home(struct port_op *op)
{
    struct shard_mail *mail = container_of(op, struct shard_mail, op);

    mail->from->mail_bytes -= mail->size;
    free(mail);
}

static void shard_mail_arrived(struct port_op *op)
{
    struct shard_mail *mail = container_of(op, struct shard_mail, op);

    effects_arrive(&mail->to->router.effects, &mail->effect);
    op->done = shard_mail_home;
    port_post(mail->from->port, op);
}

static size_t shard_mail_size(const struct envelope *effect)
{
    return sizeof(struct shard_mail) + effect->text.size + effect->payload.size;
}

static void shard_mail_drop(struct shard *from, const char *why)
{
    if (from->mail_dropped++ == 0)
        log_warn("shard", "shard %u drops what its actors say to clients of others: %s",
                 (unsigned)from->index, why);
}

// Whether an effect may go to so many shards. One larger than the limit may travel alone.
static bool shard_mail_room(const struct shard *from, const struct envelope *effect, uint32_t count)
{
    return from->mail_bytes == 0 ||
           from->mail_bytes + (uint64_t)count * shard_mail_size(effect) <= SHARD_MAIL_MAX;
}

static void shard_mail(struct shard *from, struct shard *to, const struct envelope *effect)
{
    size_t size = shard_mail_size(effect);
    struct shard_mail *mail = calloc(1, size);
    uint8_t *at;

    if (mail == NULL) {
        shard_mail_drop(from, "out of memory");
        return;
    }
    mail->from = from;
    mail->to = to;
    mail->size = size;
    mail->effect = *effect;
    at = mail->bytes;
    if (effect->text.size > 0)
        memcpy(at, effect->text.data, effect->text.size);
    mail->effect.text.data = at;
    at += effect->text.size;
    if (effect->payload.size > 0)
        memcpy(at, effect->payload.data, effect->payload.size);
    mail->effect.payload.data = at;
    mail->op.done = shard_mail_arrived;
    from->mail_bytes += size;
    port_post(to->port, &mail->op);
}

static void shard_elsewhere(void *owner, const struct envelope *effect)
{
    struct shard *shard = owner;
    const struct shard_group *group = shard->group;
    bool is_send = effect->kind == ENVELOPE_SEND;
    uint32_t only = session_table_shard(effect->session); // of a send

    if (is_send && only >= group->count) // an id that never was one
        return;
    // To all or to none of them.
    if (!shard_mail_room(shard, effect, is_send ? 1 : group->count - 1)) {
        shard_mail_drop(shard, "they do not keep up");
        return;
    }
    for (uint32_t i = 0; i < group->count; i++) {
        if (is_send ? i == only : i != shard->index)
            shard_mail(shard, &group->shards[i], effect);
    }
}

static void shard_stream_accepted(void *owner, struct stream *stream)
{
    struct shard *shard = owner;

    if (shard->state == SHARD_RUNNING || shard->state == SHARD_DRAINING)
        router_accept(&shard->router, stream);
    else
        stream_close(stream);
}

static void shard_streams_closed(void *owner)
{
    ((struct shard *)owner)->streams = NULL;
}

static void shard_slot_home(struct port_op *op)
{
    listener_give_back(container_of(op, struct listener_slot, op));
}

static void shard_send_home(struct shard *shard, struct listener_slot *slot)
{
    slot->op.done = shard_slot_home;
    port_post(shard->group->shards[0].port, &slot->op);
}

static void shard_adopt(struct shard *shard, net_socket socket)
{
    struct session *session;
    struct net_addr peer;
    int error = port_addr_peer(socket, &peer);

    // A client that has gone already has no address any more.
    if (error == 0)
        error = port_adopt(shard->port, socket);
    if (error != 0) {
        log_debug("shard", "adopt: %s", error_text(error));
        port_discard(socket, PORT_CLOSE_RESET);
        return;
    }
    session = session_table_take(&shard->table);
    session_open(session, socket, &peer);
    router_open(&shard->router, session);
}

static void shard_slot_arrived(struct port_op *op)
{
    struct listener_slot *slot = container_of(op, struct listener_slot, op);
    struct shard *shard = slot->receiver;
    const struct shard_group *group = shard->group;

    if (shard->state != SHARD_RUNNING) {
        port_discard(slot->socket, PORT_CLOSE_ORDERLY);
    } else if (shard->table.used < shard->table.capacity) {
        shard_adopt(shard, slot->socket);
    } else if (++slot->hops < group->count) {
        shard_offer(&group->shards[(shard->index + 1) % group->count], slot);
        return;
    } else {
        if (shard->refused++ == 0)
            log_warn("shard", "refusing clients: %s (gateway.max_sessions)",
                     reason_text(REASON_SESSIONS_FULL));
        port_discard(slot->socket, PORT_CLOSE_ORDERLY);
    }
    shard_send_home(shard, slot);
}

void shard_offer(struct shard *shard, struct listener_slot *slot)
{
    slot->receiver = shard;
    slot->op.done = shard_slot_arrived;
    port_post(shard->port, &slot->op);
}

static void shard_end_session(struct session *session)
{
    session_end(session, REASON_SHUTDOWN);
}

static void shard_abort_session(struct session *session)
{
    session_abort(session, REASON_SHUTDOWN);
}

static void shard_stopping(struct port_op *op)
{
    struct shard *shard = container_of(op, struct shard, stop);

    CHECK(shard->state == SHARD_RUNNING);
    shard->state = SHARD_DRAINING;
    shard->drain_until_ms = os_now_ms() + shard->group->drain_ms;
    session_table_each(&shard->table, shard_end_session);
}

// The steps of an orderly stop: sessions, then links, then nothing is left. Returns ms until the
// next look, -1 = not needed.
static int shard_stop_step(struct shard *shard)
{
    uint64_t now_ms = os_now_ms();

    if (shard->state == SHARD_DRAINING) {
        if (shard->table.used > 0 && now_ms < shard->drain_until_ms)
            return (int)(shard->drain_until_ms - now_ms);
        if (shard->table.used > 0)
            log_warn("shard", "%u sessions did not close in time", (unsigned)shard->table.used);
        session_table_each(&shard->table, shard_abort_session);
        router_close(&shard->router);
        stream_listener_close(shard->streams, shard_streams_closed);
        shard->state = SHARD_CLOSING;
    }
    if (shard->state == SHARD_CLOSING && shard->table.used == 0 && shard->router.link_count == 0 &&
        shard->streams == NULL && shard->mail_bytes == 0) {
        shard->state = SHARD_QUIET;
        port_post(shard->group->shards[0].port, &shard->quiet);
    }
    return -1;
}

static void shard_finished(struct port_op *op)
{
    container_of(op, struct shard, finish)->state = SHARD_DONE;
}

// On shard 0. Others' mail has arrived before the last of them says that it is quiet, and what is
// posted now comes after it.
static void shard_quiet_heard(struct port_op *op)
{
    const struct shard_group *group = container_of(op, struct shard, quiet)->group;

    if (--group->shards[0].stopping > 0)
        return;
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->shards[i].told)
            port_post(group->shards[i].port, &group->shards[i].finish);
    }
}

static int shard_sooner(int a_ms, int b_ms)
{
    if (a_ms < 0 || (b_ms >= 0 && b_ms < a_ms))
        return b_ms;
    return a_ms;
}

int shard_open(struct shard *shard, const struct shard_group *group, uint32_t index)
{
    uint32_t capacity = shard_capacity(group, index);
    struct port_config port = {.op_count_max = capacity * 3 + group->accepts + SHARD_OPS_SPARE};
    int error = port_create(&shard->port, &port);

    if (error != 0)
        log_error("shard", "cannot make a completion port: %s", error_text(error));
    return error;
}

int shard_start(struct shard *shard, const struct shard_group *group, uint32_t index)
{
    uint32_t capacity = shard_capacity(group, index);
    bool opened_before = shard->port != NULL;
    struct router_config router = {
        .sessions = &shard->sessions,
        .table = &shard->table,
        .link = {.now_ms = os_now_ms,
                 .token = group->token,
                 .shard = index,
                 .shards = group->count,
                 .frame_max = group->codec.payload_max,
                 .state_max = group->state_max,
                 .seed = group->seed,
                 .heartbeat_ms = group->heartbeat_ms,
                 .turn_timeout_ms = group->turn_timeout_ms},
        .poison_strikes = group->poison_strikes,
        .utc_ms = os_now_utc_ms,
        .hung = shard_hung,
        .poisoned = shard_poisoned,
        .elsewhere = shard_elsewhere,
        .owner = shard,
    };
    char address[OS_PATH_MAX + 16];
    int error;

    shard->group = group;
    shard->index = index;
    shard->deadletters =
        (struct deadletter_box){.path = group->deadletters, .file_max = group->deadletter_max};
    shard->stop.done = shard_stopping;
    shard->quiet.done = shard_quiet_heard;
    shard->finish.done = shard_finished;
    error = opened_before ? 0 : shard_open(shard, group, index);
    if (error != 0)
        return error;
    session_shared_init(&shard->sessions);
    shard->sessions.port = shard->port;
    shard->sessions.codec = group->codec;
    shard->sessions.limits = group->limits;
    shard->sessions.now_ms = os_now_ms;
    error = session_table_init(&shard->table, &shard->sessions, (uint8_t)index, capacity);
    if (error != 0) {
        log_error("shard", "cannot allocate %u sessions: %s", (unsigned)capacity,
                  error_text(error));
        goto fail_table;
    }
    router_init(&shard->router, &router);
    snprintf(address, sizeof(address), "%s-%u", group->address, (unsigned)index);
    error = stream_listen(&shard->streams, shard->port, address, ENVELOPE_BATCH_MAX,
                          shard_stream_accepted, shard);
    if (error != 0) {
        log_error("shard", "cannot listen for workers on '%s': %s", address, error_text(error));
        goto fail_streams;
    }
    return 0;

fail_streams:
    session_table_fini(&shard->table);
fail_table:
    if (!opened_before) {
        port_destroy(shard->port);
        shard->port = NULL;
    }
    return error;
}

int shard_turn(struct shard *shard, int wait_ms)
{
    int done = port_poll(shard->port, wait_ms);

    CHECK(done >= 0);
    wait_ms = shard->listener != NULL ? listener_run(shard->listener, os_now_ms()) : -1;
    wait_ms = shard_sooner(wait_ms, session_sweep(&shard->sessions));
    wait_ms = shard_sooner(wait_ms, router_tick(&shard->router));
    router_flush(&shard->router);
    session_flush(&shard->sessions);
    if (shard->state != SHARD_RUNNING)
        wait_ms = shard_sooner(wait_ms, shard_stop_step(shard));
    return wait_ms;
}

void shard_run(struct shard *shard)
{
    int wait_ms = 0;

    while (shard->state != SHARD_DONE)
        wait_ms = shard_turn(shard, wait_ms);
}

void shard_stop(struct shard *shard)
{
    shard->group->shards[0].stopping++;
    shard->told = true;
    port_post(shard->port, &shard->stop);
}

void shard_fini(struct shard *shard)
{
    if (shard->port == NULL)
        return;
    router_fini(&shard->router);
    session_table_fini(&shard->table);
    port_destroy(shard->port);
    shard->port = NULL;
}
