#include "session.h"
#include "log.h"

// An outbox this full stops receiving: a client that sends requests and does not read the answers
// is pushed back long before it is closed.
static uint32_t session_outbox_high(const struct session_shared *shared)
{
    return shared->limits.outbox_max_bytes / 4;
}

static bool session_may_receive(const struct session *session)
{
    const struct session_shared *shared = session->shared;

    return session->state == SESSION_OPEN &&
           session->inbox_frames < shared->limits.inbox_max_frames &&
           session->inbox_bytes < shared->limits.inbox_max_bytes &&
           conn_unsent(&session->conn) < session_outbox_high(shared);
}

static void session_become(struct session *session, enum session_state next)
{
    static const unsigned before[] = {
        [SESSION_FREE] = 1U << SESSION_CLOSED,
        [SESSION_OPEN] = 1U << SESSION_FREE,
        [SESSION_ENDING] = 1U << SESSION_OPEN,
        [SESSION_FINISHING] = 1U << SESSION_ENDING,
        [SESSION_CLOSED] = 1U << SESSION_ENDING | 1U << SESSION_FINISHING,
    };
    struct session_shared *shared = session->shared;

    CHECK(before[next] & 1U << session->state);
    session->state = next;
    list_remove(&session->place);
    if (next == SESSION_OPEN)
        list_push(&shared->active, &session->place);
    if (next == SESSION_FINISHING) {
        session->touched_ms = shared->now_ms();
        list_push(&shared->finishing, &session->place);
    }
}

static void session_touch(struct session *session)
{
    session->touched_ms = session->shared->now_ms();
    list_remove(&session->place);
    list_push(&session->shared->active, &session->place);
}

// True while the client waits for us: an answer is due, or what it said is not let in.
static bool session_is_owed(const struct session *session)
{
    return session->inbox_frames > 0 ||
           (session->conn.paused &&
            conn_unsent(&session->conn) < session_outbox_high(session->shared));
}

static void session_take(struct session *session, const struct frame *frame)
{
    struct session_shared *shared = session->shared;
    size_t bytes = frame->prefix.size + frame->body.size;

    session->inbox_frames++;
    session->inbox_bytes += (uint32_t)bytes;
    shared->counts.frames_in++;
    shared->counts.bytes_in += bytes;
}

static size_t session_received(struct conn *conn, const uint8_t *data, size_t size)
{
    struct session *session = container_of(conn, struct session, conn);
    struct session_shared *shared = session->shared;
    size_t eaten = 0;
    struct frame frame;

    if (session->state == SESSION_OPEN)
        session_touch(session);
    while (session->state == SESSION_OPEN) {
        enum frame_result result;

        if (!session_may_receive(session)) {
            conn_pause(conn);
            break;
        }
        result = frame_next(&shared->codec, data + eaten, size - eaten, &frame);
        if (result == FRAME_MORE)
            break;
        if (result == FRAME_BAD) {
            session_end(session, frame.error == FRAME_ERROR_TOO_LONG ? REASON_FRAME_TOO_LONG
                                                                     : REASON_FRAME_TOO_SHORT);
            break;
        }
        if (!shared->handler->frame(session, &frame)) {
            conn_pause(conn);
            break;
        }
        session_take(session, &frame);
        eaten += frame.consumed;
    }
    return session->state == SESSION_OPEN ? eaten : size;
}

static void session_ended(struct conn *conn)
{
    session_end(container_of(conn, struct session, conn), REASON_CLIENT_CLOSED);
}

static void session_sent(struct conn *conn)
{
    session_resume(container_of(conn, struct session, conn));
}

static void session_closed(struct conn *conn, int error)
{
    struct session *session = container_of(conn, struct session, conn);
    struct session_shared *shared = session->shared;

    session_end(session, error == -ENOMEM ? REASON_OUT_OF_MEMORY : REASON_CLIENT_LOST);
    session_become(session, SESSION_CLOSED);
    list_remove(&session->flush);
    shared->counts.closed[session->reason]++;
    if (log_enabled(LOG_DEBUG)) {
        char peer[ADDR_TEXT_MAX];

        log_debug("session", "closed '%s': %s", addr_text(&session->peer, peer),
                  reason_text(session->reason));
    }
    shared->handler->closed(session);
}

void session_shared_init(struct session_shared *shared)
{
    list_init(&shared->dirty);
    list_init(&shared->active);
    list_init(&shared->finishing);
}

void session_open(struct session *session, net_socket socket, const struct net_addr *peer)
{
    static const struct conn_handler handler = {
        .received = session_received,
        .ended = session_ended,
        .sent = session_sent,
        .closed = session_closed,
    };

    CHECK(session->state == SESSION_FREE);
    session->reason = REASON_NONE;
    session->inbox_frames = 0;
    session->inbox_bytes = 0;
    session->touched_ms = session->shared->now_ms();
    session->peer = *peer;
    session->binding = BINDING_NONE;
    ledger_actor_init(&session->actor, session->id);
    list_init(&session->timers);
    list_init(&session->memberships);
    session->timer_count = 0;
    session->membership_count = 0;
    session_become(session, SESSION_OPEN);
    conn_init(&session->conn, session->shared->port, &handler);
    conn_open(&session->conn, socket);
}

void session_committed(struct session *session, uint32_t bytes)
{
    CHECK(session->inbox_frames > 0 && session->inbox_bytes >= bytes);
    session->inbox_frames--;
    session->inbox_bytes -= bytes;
    session_resume(session);
}

void session_resume(struct session *session)
{
    if (session_may_receive(session))
        conn_resume(&session->conn);
}

void session_reply_wire(struct session *session, const struct frame_wire *wire)
{
    struct session_shared *shared = session->shared;
    struct buffer *outbox = conn_outbox(&session->conn);

    if (session->state != SESSION_OPEN && session->state != SESSION_ENDING)
        return;
    if (conn_unsent(&session->conn) + wire->head_size + wire->body.size + wire->tail.size >
        shared->limits.outbox_max_bytes) {
        session_abort(session, REASON_SLOW_CLIENT);
        return;
    }
    if (buffer_append(outbox, wire->head, wire->head_size) != 0 ||
        buffer_append(outbox, wire->body.data, wire->body.size) != 0 ||
        buffer_append(outbox, wire->tail.data, wire->tail.size) != 0) {
        session_abort(session, REASON_OUT_OF_MEMORY);
        return;
    }
    shared->counts.frames_out++;
    shared->counts.bytes_out += wire->body.size;
    if (list_empty(&session->flush))
        list_push(&shared->dirty, &session->flush);
}

void session_reply(struct session *session, struct bytes payload)
{
    struct frame_wire wire;

    if (frame_encode(&session->shared->codec, payload, &wire) == 0)
        session_reply_wire(session, &wire);
    else
        session_finish(session, REASON_BAD_REPLY);
}

void session_end(struct session *session, enum reason reason)
{
    if (session->state != SESSION_OPEN)
        return;
    session->reason = reason;
    session_become(session, SESSION_ENDING);
    conn_pause(&session->conn);
    session->shared->handler->ending(session);
}

void session_finish(struct session *session, enum reason reason)
{
    session_end(session, reason);
    if (session->state != SESSION_ENDING)
        return;
    session_become(session, SESSION_FINISHING);
    conn_finish(&session->conn);
}

void session_abort(struct session *session, enum reason reason)
{
    session_end(session, reason);
    if (session->state == SESSION_ENDING)
        session_become(session, SESSION_FINISHING);
    conn_abort(&session->conn);
}

void session_release(struct session *session)
{
    CHECK(session->binding == BINDING_NONE);
    session_become(session, SESSION_FREE);
}

void session_flush(struct session_shared *shared)
{
    struct list *node;

    while ((node = list_pop(&shared->dirty)) != NULL)
        conn_flush(&container_of(node, struct session, flush)->conn);
}

int session_sweep(struct session_shared *shared)
{
    uint32_t idle_ms = shared->limits.idle_timeout_ms;
    uint64_t next_ms = UINT64_MAX;
    uint64_t now_ms = shared->now_ms();

    while (idle_ms != 0 && !list_empty(&shared->active)) {
        struct session *session = container_of(shared->active.next, struct session, place);

        next_ms = session->touched_ms + idle_ms;
        if (next_ms > now_ms)
            break;
        next_ms = UINT64_MAX;
        if (session_is_owed(session))
            session_touch(session);
        else
            session_end(session, REASON_IDLE);
    }
    while (!list_empty(&shared->finishing)) {
        struct session *session = container_of(shared->finishing.next, struct session, place);
        uint64_t due_ms = session->touched_ms + shared->limits.linger_timeout_ms;

        if (due_ms > now_ms) {
            next_ms = due_ms < next_ms ? due_ms : next_ms;
            break;
        }
        list_remove(&session->place);
        conn_abort(&session->conn);
    }
    return next_ms == UINT64_MAX ? -1 : (int)(next_ms - now_ms);
}
