// Streams in memory. The bytes that one end flushes go into the other one's `wire`, and from there,
// in pieces, into its inbox; each step is a post on the port of the end that takes it.
#include "stream_fake.h"

#include <stdlib.h>
#include <string.h>

#include "port.h"

enum { HEAD = 4, ADDRESS_MAX = 256, CALLS = 2 };

enum stream_state { STREAM_NEW, STREAM_DIALLING, STREAM_OPEN, STREAM_CLOSING };

struct stream {
    struct port *port;
    const struct stream_handler *handler;
    void *owner;
    enum stream_state state;
    int error;
    uint32_t batch_max;
    char address[ADDRESS_MAX]; // of dialled streams
    struct list node;          // of all streams
    struct list backlog;       // place in a listener's
    struct stream *peer;       // NULL when it has gone, or has not come
    bool peer_gone;
    bool stalled;
    bool sending_now;
    bool delivering;
    struct port_op step; // dial, then receive
    struct port_op send;
    struct port_op end;
    struct buffer wire; // on its way to this end
    struct buffer inbox;
    struct buffer outbox; // HEAD bytes, then what waits
    struct buffer sending;
    uint8_t *lent; // the batch that the owner has
};

struct stream_listener {
    struct port *port;
    char address[ADDRESS_MAX];
    uint32_t batch_max;
    void (*accepted)(void *owner, struct stream *stream);
    void (*closed)(void *owner); // set: it is being closed
    void *owner;
    struct list node; // of all listeners
    struct list backlog;
    struct port_op accept;
    struct port_op end;
};

static struct {
    struct stream_fake_config config;
    uint64_t random;
    struct list streams;
    struct list listeners;
    int faults[CALLS];
} net;

static struct list *all(struct list *head)
{
    if (head->next == NULL) // never used
        list_init(head);
    return head;
}

// xorshift64*, of the public domain.
static size_t pick(size_t below)
{
    net.random ^= net.random >> 12;
    net.random ^= net.random << 25;
    net.random ^= net.random >> 27;
    return (size_t)((net.random * 0x2545f4914f6cdd1du) >> 33) % below;
}

static uint32_t length_of(const uint8_t *head)
{
    return (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
}

// How much of `bytes`, which begin at the start of a batch unless there are pieces, moves at once.
static size_t piece(const struct buffer *bytes)
{
    size_t size = buffer_size(bytes);
    size_t whole = size < HEAD ? size : HEAD + (size_t)length_of(buffer_data(bytes));

    if (!net.config.pieces)
        return whole < size ? whole : size; // less than whole: the rest was lost
    return 1 + pick(pick(4) == 0 && size > 8 ? 8 : size);
}

static void move(struct buffer *to, struct buffer *from, size_t size)
{
    CHECK(buffer_append(to, buffer_data(from), size) == 0);
    buffer_consume(from, size);
}

// Posts the next receive, if there is a reason.
static void receive(struct stream *stream)
{
    if (stream->state != STREAM_OPEN || stream->lent != NULL || stream->step.in_flight)
        return;
    if (buffer_size(&stream->wire) > 0 || stream->peer_gone)
        port_post(stream->port, &stream->step);
}

static void stream_free(struct stream *stream)
{
    list_remove(&stream->node);
    buffer_free(&stream->wire);
    buffer_free(&stream->inbox);
    buffer_free(&stream->outbox);
    buffer_free(&stream->sending);
    free(stream->lent);
    free(stream);
}

// The last step: all posts are home.
static void join(struct stream *stream)
{
    const struct stream_handler *handler = stream->handler;
    void *owner = stream->owner;
    int error = stream->error;

    CHECK(stream->state == STREAM_CLOSING);
    if (stream->step.in_flight || stream->send.in_flight || stream->end.in_flight)
        return;
    stream_free(stream);
    if (handler != NULL && handler->closed != NULL)
        handler->closed(owner, error);
}

static void leave_peer(struct stream *stream)
{
    struct stream *peer = stream->peer;

    stream->peer = NULL;
    if (peer == NULL)
        return;
    peer->peer = NULL;
    peer->peer_gone = true;
    if (net.config.lossy && buffer_size(&peer->wire) > 0)
        buffer_truncate(&peer->wire, pick(buffer_size(&peer->wire) + 1));
    receive(peer);
}

static void terminate(struct stream *stream, int error)
{
    if (stream->state == STREAM_CLOSING)
        return;
    stream->state = STREAM_CLOSING;
    stream->error = error;
    leave_peer(stream);
    port_post(stream->port, &stream->end);
}

static void end_done(struct port_op *op)
{
    join(container_of(op, struct stream, end));
}

// Hands over whole batches one after another; receives again once there is none left.
static void deliver(struct stream *stream)
{
    stream->delivering = true;
    while (stream->state == STREAM_OPEN && stream->lent == NULL &&
           buffer_size(&stream->inbox) >= HEAD) {
        uint32_t length = length_of(buffer_data(&stream->inbox));

        CHECK(length > 0 && length <= stream->batch_max);
        if (buffer_size(&stream->inbox) - HEAD < length)
            break;
        stream->lent = malloc(length);
        CHECK(stream->lent != NULL);
        memcpy(stream->lent, buffer_data(&stream->inbox) + HEAD, length);
        buffer_consume(&stream->inbox, HEAD + (size_t)length);
        stream->handler->batch(stream->owner, (struct bytes){stream->lent, length});
    }
    stream->delivering = false;
    receive(stream);
}

static struct stream_listener *listener_at(const char *address)
{
    struct list *head = all(&net.listeners);

    for (struct list *node = head->next; node != head; node = node->next) {
        struct stream_listener *listener = container_of(node, struct stream_listener, node);

        if (listener->closed == NULL && strcmp(listener->address, address) == 0)
            return listener;
    }
    return NULL;
}

static void step_done(struct port_op *op);
static void send_done(struct port_op *op);

static struct stream *stream_new(struct port *port, uint32_t batch_max)
{
    static const uint8_t head[HEAD];
    struct stream *stream = calloc(1, sizeof(*stream));

    CHECK(stream != NULL);
    stream->port = port;
    stream->batch_max = batch_max;
    stream->step.done = step_done;
    stream->send.done = send_done;
    stream->end.done = end_done;
    list_init(&stream->backlog);
    list_push(all(&net.streams), &stream->node);
    CHECK(buffer_append(&stream->outbox, head, HEAD) == 0);
    return stream;
}

// Nobody there: stream_listen() posts it again.
static void dial(struct stream *stream)
{
    struct stream_listener *listener = listener_at(stream->address);
    struct stream *other;

    if (listener == NULL)
        return;
    other = stream_new(listener->port, listener->batch_max);
    other->peer = stream;
    stream->peer = other;
    list_push(&listener->backlog, &other->backlog);
    if (!listener->accept.in_flight)
        port_post(listener->port, &listener->accept);
    stream->state = STREAM_OPEN;
    if (stream->handler->opened != NULL)
        stream->handler->opened(stream->owner);
    receive(stream);
}

static void step_done(struct port_op *op)
{
    struct stream *stream = container_of(op, struct stream, step);

    if (stream->state == STREAM_CLOSING) {
        join(stream);
    } else if (stream->state == STREAM_DIALLING) {
        dial(stream);
    } else if (buffer_size(&stream->wire) > 0) {
        move(&stream->inbox, &stream->wire, piece(&stream->wire));
        deliver(stream);
    } else {
        terminate(stream, -ECONNRESET);
    }
}

static void send_done(struct port_op *op)
{
    struct stream *stream = container_of(op, struct stream, send);

    if (stream->state == STREAM_CLOSING) {
        join(stream);
        return;
    }
    if (stream->stalled)
        return;
    if (stream->peer == NULL) {
        terminate(stream, -ECONNRESET);
        return;
    }
    move(&stream->peer->wire, &stream->sending, piece(&stream->sending));
    receive(stream->peer);
    if (buffer_size(&stream->sending) > 0) {
        port_post(stream->port, &stream->send);
        return;
    }
    stream->sending_now = false;
    stream_flush(stream);
    if (stream->handler->sent != NULL)
        stream->handler->sent(stream->owner);
}

static void listener_join(struct stream_listener *listener)
{
    void (*closed)(void *owner) = listener->closed;
    void *owner = listener->owner;

    if (listener->accept.in_flight || listener->end.in_flight)
        return;
    list_remove(&listener->node);
    free(listener);
    closed(owner);
}

static void listener_ended(struct port_op *op)
{
    listener_join(container_of(op, struct stream_listener, end));
}

static void accept_done(struct port_op *op)
{
    struct stream_listener *listener = container_of(op, struct stream_listener, accept);
    struct list *node;

    if (listener->closed != NULL) {
        listener_join(listener);
        return;
    }
    while ((node = list_pop(&listener->backlog)) != NULL) {
        struct stream *stream = container_of(node, struct stream, backlog);

        listener->accepted(listener->owner, stream);
        CHECK(stream->state != STREAM_NEW); // freed only by a later poll
        if (listener->closed != NULL)
            return;
    }
}

static int fault(enum stream_fake_call call)
{
    int error = net.faults[call];

    net.faults[call] = 0;
    return error;
}

int stream_listen(struct stream_listener **out_listener, struct port *port, const char *address,
                  uint32_t batch_max, void (*accepted)(void *owner, struct stream *stream),
                  void *owner)
{
    struct list *streams = all(&net.streams);
    struct stream_listener *listener;
    int error = fault(STREAM_FAKE_LISTEN);

    if (error == 0 && listener_at(address) != NULL)
        error = -EADDRINUSE;
    if (error != 0)
        return error;
    listener = calloc(1, sizeof(*listener));
    CHECK(listener != NULL && strlen(address) < ADDRESS_MAX);
    listener->port = port;
    memcpy(listener->address, address, strlen(address) + 1);
    listener->batch_max = batch_max;
    listener->accepted = accepted;
    listener->owner = owner;
    listener->accept.done = accept_done;
    listener->end.done = listener_ended;
    list_init(&listener->backlog);
    list_push(all(&net.listeners), &listener->node);
    for (struct list *node = streams->next; node != streams; node = node->next) {
        struct stream *stream = container_of(node, struct stream, node);

        if (stream->state == STREAM_DIALLING && !stream->step.in_flight &&
            strcmp(stream->address, address) == 0)
            port_post(stream->port, &stream->step);
    }
    *out_listener = listener;
    return 0;
}

void stream_listener_close(struct stream_listener *listener, void (*closed)(void *owner))
{
    struct list *node;

    CHECK(listener->closed == NULL && closed != NULL);
    listener->closed = closed;
    while ((node = list_pop(&listener->backlog)) != NULL)
        terminate(container_of(node, struct stream, backlog), -ECANCELED);
    port_post(listener->port, &listener->end);
}

int stream_dial(struct stream **out_stream, struct port *port, const char *address,
                uint32_t batch_max, const struct stream_handler *handler, void *owner)
{
    int error = fault(STREAM_FAKE_DIAL);
    struct stream *stream;

    if (error != 0)
        return error;
    stream = stream_new(port, batch_max);
    CHECK(strlen(address) < ADDRESS_MAX);
    memcpy(stream->address, address, strlen(address) + 1);
    stream->handler = handler;
    stream->owner = owner;
    stream->state = STREAM_DIALLING;
    port_post(port, &stream->step);
    *out_stream = stream;
    return 0;
}

void stream_start(struct stream *stream, const struct stream_handler *handler, void *owner)
{
    CHECK(stream->state == STREAM_NEW);
    stream->handler = handler;
    stream->owner = owner;
    stream->state = STREAM_OPEN;
    receive(stream);
}

void stream_next(struct stream *stream)
{
    CHECK(stream->lent != NULL);
    free(stream->lent);
    stream->lent = NULL;
    if (stream->state == STREAM_OPEN && !stream->delivering)
        deliver(stream);
}

struct buffer *stream_outbox(struct stream *stream)
{
    return &stream->outbox;
}

void stream_flush(struct stream *stream)
{
    static const uint8_t head[HEAD];
    size_t size = stream_unsent(stream);
    uint8_t *at;

    if (stream->state != STREAM_OPEN || stream->sending_now || size == 0)
        return;
    CHECK(size <= stream->batch_max && buffer_size(&stream->sending) == 0);
    buffer_free(&stream->sending);
    stream->sending = stream->outbox;
    stream->outbox = (struct buffer){0};
    CHECK(buffer_append(&stream->outbox, head, HEAD) == 0);
    at = stream->sending.memory + stream->sending.head;
    at[0] = (uint8_t)(size >> 24);
    at[1] = (uint8_t)(size >> 16);
    at[2] = (uint8_t)(size >> 8);
    at[3] = (uint8_t)size;
    stream->sending_now = true;
    port_post(stream->port, &stream->send);
}

size_t stream_unsent(const struct stream *stream)
{
    return buffer_size(&stream->outbox) - HEAD;
}

bool stream_sending(const struct stream *stream)
{
    return stream->sending_now;
}

void stream_close(struct stream *stream)
{
    terminate(stream, -ECANCELED);
}

void stream_fake_reset(const struct stream_fake_config *config)
{
    CHECK(stream_fake_open() == 0);
    net.config = *config;
    net.random = config->seed * 2 + 1; // never 0
    memset(net.faults, 0, sizeof(net.faults));
}

void stream_fake_stall(struct stream *stream, bool stalled)
{
    stream->stalled = stalled;
    if (!stalled && stream->sending_now && !stream->send.in_flight)
        port_post(stream->port, &stream->send);
}

void stream_fake_break(struct stream *stream, int error)
{
    CHECK(error < 0);
    terminate(stream, error);
}

void stream_fake_fail(enum stream_fake_call call, int error)
{
    net.faults[call] = error;
}

uint32_t stream_fake_open(void)
{
    struct list *streams = all(&net.streams);
    struct list *listeners = all(&net.listeners);
    uint32_t open = 0;

    for (struct list *node = streams->next; node != streams; node = node->next)
        open++;
    for (struct list *node = listeners->next; node != listeners; node = node->next)
        open++;
    return open;
}
