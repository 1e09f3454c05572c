#include "rig.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "port_fake.h"
#include "stream_fake.h"

struct port *rig_port;
uint64_t rig_clock_ms;
void (*rig_turn)(void);

static uint64_t random_state;
static net_socket listener;
static bool ending;
static struct net_addr address;
static struct port_op accept_op;
static struct port_op close_op;
static void (*accepted_by)(net_socket socket, const struct net_addr *peer);

uint64_t rig_now_ms(void)
{
    return rig_clock_ms;
}

// xorshift64*, of the public domain.
size_t rig_random(size_t below)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (size_t)((random_state * 0x2545f4914f6cdd1du) >> 33) % below;
}

void rig_start(const struct rig_config *config)
{
    fake_reset(&(struct fake_config){.seed = config->seed,
                                     .shuffle = config->rough,
                                     .pieces = config->rough,
                                     .socket_bytes = config->socket_bytes});
    stream_fake_reset(&(struct stream_fake_config){
        .seed = config->seed, .pieces = config->rough, .lossy = config->rough});
    random_state = config->seed * 2 + 1;
    rig_clock_ms = 1000000;
    rig_turn = NULL;
    listener = NET_SOCKET_NONE;
    ending = false;
    assert_int_equal(port_create(&rig_port, &(struct port_config){.op_count_max = 4096}), 0);
}

void rig_poll(void)
{
    (void)port_poll(rig_port, 0);
    if (rig_turn != NULL)
        rig_turn();
}

void rig_settle(void)
{
    uint32_t polls = 0;

    do {
        rig_poll();
        assert_true(++polls < 1000000);
    } while (fake_ready(rig_port));
}

static void closed_done(struct port_op *op)
{
    (void)op;
    listener = NET_SOCKET_NONE;
}

static void accept_done(struct port_op *op)
{
    struct net_addr peer;

    if (ending) {
        if (op->error == 0)
            port_discard(op->accepted, PORT_CLOSE_RESET);
        port_close(rig_port, &close_op, listener, PORT_CLOSE_ORDERLY);
        return;
    }
    if (op->error == 0) { // else the client has gone again
        assert_int_equal(port_addr_peer(op->accepted, &peer), 0);
        assert_int_equal(port_adopt(rig_port, op->accepted), 0);
        accepted_by(op->accepted, &peer);
    }
    port_accept(rig_port, &accept_op, listener);
}

void rig_listen(void (*accepted)(net_socket socket, const struct net_addr *peer))
{
    const struct net_addr any = {.family = ADDR_IPV4, .host = {127, 0, 0, 1}};

    accepted_by = accepted;
    accept_op.done = accept_done;
    close_op.done = closed_done;
    assert_int_equal(port_listen(rig_port, &any, 1024, &listener), 0);
    assert_int_equal(port_addr_local(listener, &address), 0);
    port_accept(rig_port, &accept_op, listener);
}

void rig_end(void)
{
    ending = true;
    if (listener != NET_SOCKET_NONE)
        port_cancel(rig_port, listener);
    rig_settle();
    assert_int_equal(stream_fake_open(), 0);
    assert_int_equal(fake_sockets_open(), 0);
    assert_int_equal(fake_in_flight(), 0);
    port_destroy(rig_port);
    rig_port = NULL;
}

static size_t client_received(struct conn *conn, const uint8_t *data, size_t size)
{
    struct rig_client *client = container_of(conn, struct rig_client, conn);

    assert_int_equal(buffer_append(&client->received, data, size), 0);
    if (client->got != NULL)
        client->got(client);
    return size;
}

static void client_ended(struct conn *conn)
{
    struct rig_client *client = container_of(conn, struct rig_client, conn);

    client->ended = true;
    conn_finish(conn);
    if (client->got != NULL)
        client->got(client);
}

static void client_closed(struct conn *conn, int error)
{
    struct rig_client *client = container_of(conn, struct rig_client, conn);

    client->closed++;
    client->error = error;
    if (client->got != NULL)
        client->got(client);
}

void rig_connect_to(struct rig_client *client, const struct net_addr *to)
{
    static const struct conn_handler handler = {
        .received = client_received,
        .ended = client_ended,
        .closed = client_closed,
    };

    conn_init(&client->conn, rig_port, &handler);
    assert_int_equal(conn_connect(&client->conn, to), 0);
}

void rig_connect(struct rig_client *client)
{
    rig_connect_to(client, &address);
}

void rig_send(struct rig_client *client, const void *data, size_t size)
{
    assert_int_equal(buffer_append(conn_outbox(&client->conn), data, size), 0);
    conn_flush(&client->conn);
}

void rig_client_free(struct rig_client *client)
{
    assert_int_equal(client->conn.state, CONN_IDLE);
    buffer_free(&client->received);
    memset(client, 0, sizeof(*client));
}

bool rig_received(const struct rig_client *client, const char *text)
{
    return buffer_size(&client->received) == strlen(text) &&
           (*text == '\0' || memcmp(buffer_data(&client->received), text, strlen(text)) == 0);
}

struct bytes rig_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

void rig_worker_say(struct rig_worker *worker, const struct envelope *envelope)
{
    assert_int_equal(envelope_encode(stream_outbox(worker->stream), envelope), 0);
}

static void worker_opened(void *owner)
{
    struct rig_worker *worker = owner;

    worker->state = RIG_WORKER_OPEN;
    if (worker->silent)
        return;
    rig_worker_say(worker, &(struct envelope){
                               .kind = ENVELOPE_HELLO,
                               .version = worker->version != 0 ? worker->version : ENVELOPE_VERSION,
                               .token = rig_text(worker->token != NULL ? worker->token : RIG_TOKEN),
                               .worker = worker->number,
                               .process_id = 4711 + worker->number,
                               .text = rig_text("rig"),
                               .text2 = rig_text("1"),
                               .types = rig_text("rig")});
    stream_flush(worker->stream);
}

static void copy_text(char *out, struct bytes text)
{
    assert_true(text.size <= ENVELOPE_TEXT_MAX);
    if (text.size > 0)
        memcpy(out, text.data, text.size);
    out[text.size] = '\0';
}

// Where the next input comes.
static struct rig_input *worker_tail(struct rig_worker *worker)
{
    assert_true(worker->count < ARRAY_COUNT(worker->inputs));
    return &worker->inputs[(worker->first + worker->count) % ARRAY_COUNT(worker->inputs)];
}

// Its input must follow.
static void worker_restore(struct rig_worker *worker, const struct envelope *envelope)
{
    struct rig_input *input = worker_tail(worker);

    assert_false(worker->restoring);
    assert_true(envelope->sequence > 0);
    worker->restoring = true;
    *input = (struct rig_input){.session = envelope->session,
                                .epoch = envelope->epoch,
                                .sequence = envelope->sequence,
                                .restored = true,
                                .state_version = envelope->state_version};
    assert_int_equal(buffer_append(&input->state, envelope->payload.data, envelope->payload.size),
                     0);
}

static void worker_input(struct rig_worker *worker, const struct envelope *envelope)
{
    struct rig_input *input = worker_tail(worker);

    if (worker->restoring) {
        assert_true(envelope->session == input->session);
        assert_int_equal(envelope->epoch, input->epoch);
        assert_int_equal(envelope->sequence, input->sequence + 1);
        assert_int_not_equal(envelope->kind, ENVELOPE_OPEN);
        worker->restoring = false;
    } else {
        *input = (struct rig_input){.restored = false};
    }
    worker->count++;
    input->kind = envelope->kind;
    input->session = envelope->session;
    input->epoch = envelope->epoch;
    input->sequence = envelope->sequence;
    input->now_ms = envelope->now_ms;
    copy_text(input->text, envelope->text);
    assert_int_equal(buffer_append(&input->payload, envelope->payload.data, envelope->payload.size),
                     0);
    worker->input_bytes += envelope->payload.size;
}

static void worker_envelope(struct rig_worker *worker, const struct envelope *envelope)
{
    switch (envelope->kind) {
    case ENVELOPE_WELCOME:
        assert_int_equal(worker->state, RIG_WORKER_OPEN);
        worker->state = RIG_WORKER_UP;
        worker->welcome = *envelope;
        break;
    case ENVELOPE_REFUSED:
        copy_text(worker->refused, envelope->text);
        break;
    case ENVELOPE_PING:
        worker->pings++;
        if (!worker->mute)
            rig_worker_say(worker,
                           &(struct envelope){.kind = ENVELOPE_PONG, .serial = envelope->serial});
        break;
    case ENVELOPE_DRAIN:
        worker->drains++;
        break;
    case ENVELOPE_RESTORE:
        assert_int_equal(worker->state, RIG_WORKER_UP);
        worker_restore(worker, envelope);
        break;
    default:
        assert_int_equal(worker->state, RIG_WORKER_UP);
        worker_input(worker, envelope);
        break;
    }
}

static void worker_batch(void *owner, struct bytes body)
{
    struct rig_worker *worker = owner;
    struct envelope envelope;
    enum envelope_result result;

    if (worker->state == RIG_WORKER_DEAF) {
        stream_next(worker->stream);
        return;
    }
    envelope_reader_start(&worker->reader, body);
    while ((result = envelope_next(&worker->reader, &envelope)) == ENVELOPE_READY)
        worker_envelope(worker, &envelope);
    assert_int_equal(result, ENVELOPE_END_OF_BATCH);
    assert_false(worker->restoring);
    if (worker->arrived != NULL)
        worker->arrived(worker);
    stream_flush(worker->stream);
    stream_next(worker->stream);
}

struct rig_input *rig_worker_next(struct rig_worker *worker)
{
    return worker->count == 0 ? NULL : &worker->inputs[worker->first % ARRAY_COUNT(worker->inputs)];
}

static void worker_pop(struct rig_worker *worker)
{
    struct rig_input *input = rig_worker_next(worker);

    worker->input_bytes -= buffer_size(&input->payload);
    buffer_free(&input->payload);
    buffer_free(&input->state);
    worker->first = (worker->first + 1) % ARRAY_COUNT(worker->inputs);
    worker->count--;
}

static void worker_closed(void *owner, int error)
{
    struct rig_worker *worker = owner;

    worker->stream = NULL;
    worker->state = RIG_WORKER_GONE;
    worker->error = error;
    envelope_reader_destroy(&worker->reader);
    while (worker->count > 0)
        worker_pop(worker);
    worker->first = 0;
}

void rig_worker_dial(struct rig_worker *worker)
{
    static const struct stream_handler handler = {
        .opened = worker_opened,
        .batch = worker_batch,
        .closed = worker_closed,
    };

    worker->state = RIG_WORKER_DIALLING;
    worker->drains = 0;
    assert_int_equal(envelope_reader_create(&worker->reader, ENVELOPE_FROM_GATEWAY), 0);
    assert_int_equal(
        stream_dial(&worker->stream, rig_port, RIG_ADDRESS, ENVELOPE_BATCH_MAX, &handler, worker),
        0);
}

// Only the first so many of its envelopes.
static void worker_commit(struct rig_worker *worker, const struct envelope *effects, uint32_t count,
                          uint32_t envelopes)
{
    struct rig_input *input = rig_worker_next(worker);

    assert_non_null(input);
    rig_worker_say(worker, &(struct envelope){.kind = ENVELOPE_COMMIT,
                                              .session = input->session,
                                              .epoch = input->epoch,
                                              .sequence = input->sequence,
                                              .effects = count});
    for (uint32_t i = 0; i + 1 < envelopes; i++)
        rig_worker_say(worker, &effects[i]);
    stream_flush(worker->stream);
    worker_pop(worker);
}

void rig_worker_commit_effects(struct rig_worker *worker, const struct envelope *effects,
                               uint32_t count)
{
    worker_commit(worker, effects, count, count + 1);
}

void rig_worker_commit_torn(struct rig_worker *worker, const struct envelope *effects,
                            uint32_t count, uint32_t envelopes)
{
    assert_true(envelopes > 0 && envelopes <= count);
    worker_commit(worker, effects, count, envelopes);
}

void rig_worker_commit(struct rig_worker *worker, const struct bytes *replies, uint32_t reply_count,
                       bool end)
{
    struct envelope effects[ENVELOPE_EFFECTS_MAX];

    assert_true(reply_count + end <= ENVELOPE_EFFECTS_MAX);
    for (uint32_t i = 0; i < reply_count; i++)
        effects[i] = (struct envelope){.kind = ENVELOPE_REPLY, .payload = replies[i]};
    if (end)
        effects[reply_count] = (struct envelope){.kind = ENVELOPE_END};
    rig_worker_commit_effects(worker, effects, reply_count + end);
}

void rig_worker_echo(struct rig_worker *worker)
{
    struct rig_input *input;

    while ((input = rig_worker_next(worker)) != NULL) {
        struct bytes payload = {buffer_data(&input->payload), buffer_size(&input->payload)};

        rig_worker_commit(worker, &payload, input->kind == ENVELOPE_FRAME, false);
    }
}

void rig_worker_close(struct rig_worker *worker)
{
    if (worker->stream != NULL)
        stream_close(worker->stream);
}
