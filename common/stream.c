#include <stdlib.h>

#include "log.h"
#include "stream.h"
#include "stream_nng.h"

enum {
    STREAM_HEAD = 4,                // bytes of a batch's length
    STREAM_RECV_BYTES = 64 * 1024,  // room for one receive
    STREAM_KEEP_BYTES = 256 * 1024, // what an empty buffer may keep
    STREAM_BACK_OFF_MIN_MS = 10,
    STREAM_BACK_OFF_MAX_MS = 500,
};

enum stream_state {
    STREAM_NEW, // accepted, without an owner
    STREAM_DIALLING,
    STREAM_PAUSING, // before the next dial
    STREAM_OPEN,
    STREAM_CLOSING, // waits until its operations are home
};

struct stream {
    struct port *port;
    const struct stream_handler *handler;
    void *owner;
    enum stream_state state;
    int error;
    uint32_t batch_max;
    uint32_t back_off_ms;
    nng_stream *nng;           // NULL until it stands
    nng_stream_dialer *dialer; // NULL for accepted streams
    struct stream_task dial;   // unused for accepted streams
    struct stream_task recv;
    struct stream_task send;
    struct port_op end; // brings `closed` from port_poll() also when nothing was pending
    bool end_pending;
    struct buffer inbox;
    struct buffer outbox; // STREAM_HEAD bytes for the length, then what waits
    struct buffer sending;
    bool held;       // a batch is lent to the owner
    bool delivering; // stream_deliver() is on the stack
};

static void stream_free(struct stream *stream)
{
    stream_task_fini(&stream->dial);
    stream_task_fini(&stream->recv);
    stream_task_fini(&stream->send);
    if (stream->nng != NULL)
        nng_stream_free(stream->nng);
    if (stream->dialer != NULL)
        nng_stream_dialer_free(stream->dialer);
    buffer_free(&stream->inbox);
    buffer_free(&stream->outbox);
    buffer_free(&stream->sending);
    free(stream);
}

static void stream_join(struct stream *stream)
{
    const struct stream_handler *handler = stream->handler;
    void *owner = stream->owner;
    int error = stream->error;

    CHECK(stream->state == STREAM_CLOSING);
    if (stream->end_pending || stream->dial.pending || stream->recv.pending || stream->send.pending)
        return;
    stream_free(stream);
    if (handler != NULL && handler->closed != NULL)
        handler->closed(owner, error);
}

static void stream_ended(struct port_op *op)
{
    struct stream *stream = container_of(op, struct stream, end);

    stream->end_pending = false;
    stream_join(stream);
}

static void stream_terminate(struct stream *stream, int error)
{
    if (stream->state == STREAM_CLOSING)
        return;
    stream->state = STREAM_CLOSING;
    stream->error = error;
    if (stream->nng != NULL)
        nng_stream_close(stream->nng);
    if (stream->dialer != NULL)
        nng_stream_dialer_close(stream->dialer);
    if (stream->dial.pending)
        nng_aio_cancel(stream->dial.aio);
    stream->end_pending = true;
    port_post(stream->port, &stream->end);
}

// Length of the batch at the front of the inbox, whose head must be there.
static uint32_t stream_length(const struct stream *stream)
{
    const uint8_t *head = buffer_data(&stream->inbox);

    return (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
}

static void stream_recv(struct stream *stream)
{
    size_t size = buffer_size(&stream->inbox);
    size_t room = STREAM_RECV_BYTES;
    nng_iov iov;

    if (size >= STREAM_HEAD) {
        size_t missing = STREAM_HEAD + (size_t)stream_length(stream) - size;

        if (missing > room)
            room = missing;
    }
    iov.iov_buf = buffer_reserve(&stream->inbox, room);
    iov.iov_len = room;
    if (iov.iov_buf == NULL) {
        stream_terminate(stream, -ENOMEM);
        return;
    }
    nng_aio_set_iov(stream->recv.aio, 1, &iov);
    stream->recv.pending = true;
    nng_stream_recv(stream->nng, stream->recv.aio);
}

// Looks for a whole batch at the front of the inbox.
static bool stream_batch(struct stream *stream, struct bytes *out_body)
{
    uint32_t length;

    if (buffer_size(&stream->inbox) < STREAM_HEAD)
        return false;
    length = stream_length(stream);
    if (length == 0 || length > stream->batch_max) {
        stream_terminate(stream, -EPROTO);
        return false;
    }
    if (buffer_size(&stream->inbox) - STREAM_HEAD < length)
        return false;
    *out_body = (struct bytes){buffer_data(&stream->inbox) + STREAM_HEAD, length};
    return true;
}

// Hands over whole batches one after another; receives again once there is none left.
static void stream_deliver(struct stream *stream)
{
    struct bytes body;

    stream->delivering = true;
    while (stream->state == STREAM_OPEN && !stream->held && stream_batch(stream, &body)) {
        stream->held = true;
        stream->handler->batch(stream->owner, body);
    }
    stream->delivering = false;
    if (stream->state != STREAM_OPEN || stream->held || stream->recv.pending)
        return;
    buffer_trim(&stream->inbox, STREAM_KEEP_BYTES);
    stream_recv(stream);
}

// A receive or send is home. True when the stream goes on.
static bool stream_task_home(struct stream *stream, struct stream_task *task)
{
    int error = stream_error(nng_aio_result(task->aio));

    task->pending = false;
    if (stream->state == STREAM_CLOSING)
        stream_join(stream);
    else if (error != 0)
        stream_terminate(stream, error);
    else
        return true;
    return false;
}

static void stream_recv_done(struct port_op *op)
{
    struct stream *stream = container_of(op, struct stream, recv.op);

    if (!stream_task_home(stream, &stream->recv))
        return;
    buffer_commit(&stream->inbox, nng_aio_count(stream->recv.aio));
    stream_deliver(stream);
}

static void stream_send(struct stream *stream)
{
    nng_iov iov = {.iov_buf = (void *)(uintptr_t)buffer_data(&stream->sending),
                   .iov_len = buffer_size(&stream->sending)};

    nng_aio_set_iov(stream->send.aio, 1, &iov);
    stream->send.pending = true;
    nng_stream_send(stream->nng, stream->send.aio);
}

static void stream_send_done(struct port_op *op)
{
    struct stream *stream = container_of(op, struct stream, send.op);

    if (!stream_task_home(stream, &stream->send))
        return;
    buffer_consume(&stream->sending, nng_aio_count(stream->send.aio));
    if (buffer_size(&stream->sending) > 0) {
        stream_send(stream);
        return;
    }
    buffer_trim(&stream->sending, STREAM_KEEP_BYTES);
    stream_flush(stream);
    if (stream->handler->sent != NULL)
        stream->handler->sent(stream->owner);
}

static void stream_dial_start(struct stream *stream)
{
    stream->state = STREAM_DIALLING;
    stream->dial.pending = true;
    nng_stream_dialer_dial(stream->dialer, stream->dial.aio);
}

static void stream_pause(struct stream *stream, int error)
{
    uint32_t pause_ms = stream->back_off_ms;

    log_debug("stream", "dial: %s, again in %u ms", error_text(error), (unsigned)pause_ms);
    stream->back_off_ms =
        pause_ms * 2 < STREAM_BACK_OFF_MAX_MS ? pause_ms * 2 : STREAM_BACK_OFF_MAX_MS;
    stream->state = STREAM_PAUSING;
    stream->dial.pending = true;
    nng_sleep_aio((nng_duration)pause_ms, stream->dial.aio);
}

// The dial aio serves the dial and, after a failed one, the pause before the next.
static void stream_dial_done(struct port_op *op)
{
    struct stream *stream = container_of(op, struct stream, dial.op);
    int error = stream_error(nng_aio_result(stream->dial.aio));
    // NULL after a pause: nng clears the outputs when an operation begins.
    nng_stream *dialled = error == 0 ? nng_aio_get_output(stream->dial.aio, 0) : NULL;

    stream->dial.pending = false;
    switch (stream->state) {
    case STREAM_PAUSING:
        stream_dial_start(stream);
        break;
    case STREAM_DIALLING:
        if (error != 0) {
            stream_pause(stream, error);
            break;
        }
        stream->nng = dialled;
        stream->state = STREAM_OPEN;
        stream_recv(stream);
        if (stream->handler->opened != NULL)
            stream->handler->opened(stream->owner);
        break;
    default:
        stream->nng = dialled;
        stream_join(stream);
        break;
    }
}

static struct stream *stream_create(struct port *port, uint32_t batch_max)
{
    static const uint8_t head[STREAM_HEAD];
    struct stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL)
        return NULL;
    stream->port = port;
    stream->batch_max = batch_max;
    stream->back_off_ms = STREAM_BACK_OFF_MIN_MS;
    stream->end.done = stream_ended;
    if (stream_task_init(&stream->recv, port, stream_recv_done) != 0 ||
        stream_task_init(&stream->send, port, stream_send_done) != 0 ||
        buffer_append(&stream->outbox, head, sizeof(head)) != 0 ||
        buffer_append(&stream->sending, head, sizeof(head)) != 0) {
        stream_free(stream);
        return NULL;
    }
    buffer_truncate(&stream->sending, 0);
    return stream;
}

struct stream *stream_adopt(struct port *port, uint32_t batch_max, nng_stream *accepted)
{
    struct stream *stream = stream_create(port, batch_max);

    if (stream == NULL)
        nng_stream_free(accepted);
    else
        stream->nng = accepted;
    return stream;
}

int stream_dial(struct stream **out_stream, struct port *port, const char *address,
                uint32_t batch_max, const struct stream_handler *handler, void *owner)
{
    struct stream *stream = stream_create(port, batch_max);
    int error;

    if (stream == NULL)
        return -ENOMEM;
    error = stream_task_init(&stream->dial, port, stream_dial_done);
    if (error == 0)
        error = stream_error(nng_stream_dialer_alloc(&stream->dialer, address));
    if (error != 0) {
        stream_free(stream);
        return error;
    }
    stream->handler = handler;
    stream->owner = owner;
    stream_dial_start(stream);
    *out_stream = stream;
    return 0;
}

void stream_start(struct stream *stream, const struct stream_handler *handler, void *owner)
{
    CHECK(stream->state == STREAM_NEW);
    stream->handler = handler;
    stream->owner = owner;
    stream->state = STREAM_OPEN;
    stream_recv(stream);
}

void stream_next(struct stream *stream)
{
    struct bytes body;

    CHECK(stream->held);
    stream->held = false;
    if (stream->state != STREAM_OPEN)
        return;
    CHECK(stream_batch(stream, &body));
    buffer_consume(&stream->inbox, STREAM_HEAD + body.size);
    if (!stream->delivering)
        stream_deliver(stream);
}

struct buffer *stream_outbox(struct stream *stream)
{
    return &stream->outbox;
}

void stream_flush(struct stream *stream)
{
    size_t size = stream_unsent(stream);
    struct buffer empty = stream->sending;
    uint8_t *head;

    if (stream->state != STREAM_OPEN || stream->send.pending || size == 0)
        return;
    CHECK(size <= stream->batch_max);
    // Room for the next batch's head, before anything is touched.
    head = buffer_reserve(&empty, STREAM_HEAD);
    if (head == NULL) {
        stream_terminate(stream, -ENOMEM);
        return;
    }
    buffer_commit(&empty, STREAM_HEAD);
    stream->sending = stream->outbox;
    stream->outbox = empty;
    head = stream->sending.memory + stream->sending.head;
    head[0] = (uint8_t)(size >> 24);
    head[1] = (uint8_t)(size >> 16);
    head[2] = (uint8_t)(size >> 8);
    head[3] = (uint8_t)size;
    stream_send(stream);
}

size_t stream_unsent(const struct stream *stream)
{
    return buffer_size(&stream->outbox) - STREAM_HEAD;
}

bool stream_sending(const struct stream *stream)
{
    return stream->send.pending;
}

void stream_close(struct stream *stream)
{
    stream_terminate(stream, -ECANCELED);
}
