#include "rig_router.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

struct session_shared rig_sessions;
struct session_table rig_table;
struct router rig_router;
unsigned rig_hung;
uint32_t rig_hung_worker;
uint64_t rig_hung_process;
uint64_t rig_utc_ms;
struct rig_poisoned rig_poisoned;

static struct stream_listener *streams;

static void on_hung(uint32_t worker, uint64_t process_id, const char *why)
{
    assert_true(*why != '\0');
    rig_hung++;
    rig_hung_worker = worker;
    rig_hung_process = process_id;
}

static uint64_t utc_ms(void)
{
    return ++rig_utc_ms;
}

static void on_poisoned(const struct session *session, const struct ledger_input *input,
                        const struct link *link, const char *why)
{
    rig_poisoned.count++;
    rig_poisoned.session = session->id;
    rig_poisoned.kind = (enum envelope_kind)input->kind;
    rig_poisoned.sequence = input->sequence;
    rig_poisoned.now_ms = input->now_ms;
    rig_poisoned.worker = link->worker;
    snprintf(rig_poisoned.payload, sizeof(rig_poisoned.payload), "%.*s%.*s",
             (int)input->prefix.size, (const char *)input->prefix.data, (int)input->payload.size,
             (const char *)input->payload.data);
    snprintf(rig_poisoned.why, sizeof(rig_poisoned.why), "%s", why);
}

static void on_client(net_socket socket, const struct net_addr *peer)
{
    struct session *session = session_table_take(&rig_table);

    assert_non_null(session);
    session_open(session, socket, peer);
    router_open(&rig_router, session);
}

static void on_stream(void *owner, struct stream *stream)
{
    (void)owner;
    router_accept(&rig_router, stream);
}

static void streams_closed(void *owner)
{
    (void)owner;
    streams = NULL;
}

static void turn(void)
{
    (void)session_sweep(&rig_sessions);
    (void)router_tick(&rig_router);
    router_flush(&rig_router);
    session_flush(&rig_sessions);
}

void rig_router_start(const struct rig_config *config)
{
    const struct router_config router = {
        .sessions = &rig_sessions,
        .table = &rig_table,
        .link = {.now_ms = rig_now_ms,
                 .token = rig_text(RIG_TOKEN),
                 .shards = 1,
                 .frame_max = RIG_FRAME_MAX,
                 .state_max = RIG_STATE_MAX,
                 .heartbeat_ms = RIG_HEARTBEAT_MS,
                 .turn_timeout_ms = RIG_TURN_MS},
        .poison_strikes = RIG_STRIKES,
        .utc_ms = utc_ms,
        .hung = on_hung,
        .poisoned = on_poisoned,
    };

    rig_start(config);
    rig_turn = turn;
    rig_hung = 0;
    rig_utc_ms = 1700000000000;
    rig_poisoned = (struct rig_poisoned){0};
    memset(&rig_sessions, 0, sizeof(rig_sessions));
    session_shared_init(&rig_sessions);
    rig_sessions.port = rig_port;
    rig_sessions.now_ms = rig_now_ms;
    rig_sessions.limits = (struct session_limits){.inbox_max_frames = 256,
                                                  .inbox_max_bytes = 4 << 20,
                                                  .outbox_max_bytes = 16 << 20,
                                                  .linger_timeout_ms = 100000000};
    assert_int_equal(frame_codec_parse(&rig_sessions.codec, "len32be", RIG_FRAME_MAX, NULL), 0);
    assert_int_equal(session_table_init(&rig_table, &rig_sessions, 0, RIG_SESSIONS), 0);
    router_init(&rig_router, &router);
    assert_int_equal(
        stream_listen(&streams, rig_port, RIG_ADDRESS, ENVELOPE_BATCH_MAX, on_stream, NULL), 0);
    rig_listen(on_client);
}

static void abort_session(struct session *session)
{
    session_abort(session, REASON_SHUTDOWN);
}

void rig_router_end(void)
{
    session_table_each(&rig_table, abort_session);
    router_close(&rig_router);
    stream_listener_close(streams, streams_closed);
    rig_end();
    assert_null(streams);
    assert_int_equal(rig_table.used, 0);
    assert_int_equal(rig_router.link_count, 0);
    assert_true(list_empty(&rig_router.waiting) && list_empty(&rig_router.links));
    assert_true(list_empty(&rig_sessions.active) && list_empty(&rig_sessions.finishing) &&
                list_empty(&rig_sessions.dirty));
    session_table_fini(&rig_table);
}

void rig_send_frame(struct rig_client *client, struct bytes payload)
{
    struct frame_wire wire;

    assert_int_equal(frame_encode(&rig_sessions.codec, payload, &wire), 0);
    rig_send(client, wire.head, wire.head_size);
    rig_send(client, wire.body.data, wire.body.size);
}
