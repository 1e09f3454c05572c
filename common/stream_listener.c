#include <nng/transport/ipc/ipc.h>
#include <stdlib.h>

#include "log.h"
#include "stream.h"
#include "stream_nng.h"

enum { STREAM_ACCEPT_RETRY_MS = 100 };

struct stream_listener {
    struct port *port;
    nng_stream_listener *nng;
    struct stream_task accept;
    uint32_t batch_max;
    void (*accepted)(void *owner, struct stream *stream);
    void (*closed)(void *owner); // set: it is being closed
    void *owner;
    struct port_op end;
    bool end_pending;
};

static void stream_accept(struct stream_listener *listener)
{
    listener->accept.pending = true;
    nng_stream_listener_accept(listener->nng, listener->accept.aio);
}

static void stream_listener_join(struct stream_listener *listener)
{
    void (*closed)(void *owner) = listener->closed;
    void *owner = listener->owner;

    if (listener->end_pending || listener->accept.pending)
        return;
    stream_task_fini(&listener->accept);
    nng_stream_listener_free(listener->nng);
    free(listener);
    closed(owner);
}

static void stream_listener_ended(struct port_op *op)
{
    struct stream_listener *listener = container_of(op, struct stream_listener, end);

    listener->end_pending = false;
    stream_listener_join(listener);
}

// The accept aio serves the accept and, after a failed one, the pause before the next.
static void stream_accept_done(struct port_op *op)
{
    struct stream_listener *listener = container_of(op, struct stream_listener, accept.op);
    int error = stream_error(nng_aio_result(listener->accept.aio));
    // NULL after a pause: nng clears the outputs when an operation begins.
    nng_stream *accepted = error == 0 ? nng_aio_get_output(listener->accept.aio, 0) : NULL;
    struct stream *stream;

    listener->accept.pending = false;
    if (listener->closed != NULL) {
        if (accepted != NULL)
            nng_stream_free(accepted);
        stream_listener_join(listener);
        return;
    }
    if (error != 0) {
        log_debug("stream", "accept: %s", error_text(error));
        listener->accept.pending = true;
        nng_sleep_aio(STREAM_ACCEPT_RETRY_MS, listener->accept.aio);
        return;
    }
    if (accepted != NULL) {
        stream = stream_adopt(listener->port, listener->batch_max, accepted);
        if (stream != NULL)
            listener->accepted(listener->owner, stream);
    }
    if (listener->closed == NULL)
        stream_accept(listener);
}

int stream_listen(struct stream_listener **out_listener, struct port *port, const char *address,
                  uint32_t batch_max, void (*accepted)(void *owner, struct stream *stream),
                  void *owner)
{
    struct stream_listener *listener = calloc(1, sizeof(*listener));
    int error;

    if (listener == NULL)
        return -ENOMEM;
    listener->port = port;
    listener->batch_max = batch_max;
    listener->accepted = accepted;
    listener->owner = owner;
    listener->end.done = stream_listener_ended;
    error = stream_task_init(&listener->accept, port, stream_accept_done);
    if (error != 0)
        goto fail_task;
    error = stream_error(nng_stream_listener_alloc(&listener->nng, address));
    if (error != 0)
        goto fail_task;
    // Only for this user. Named pipes have no such option: there the default descriptor lets only
    // this user, administrators and the system write.
    (void)nng_stream_listener_set_int(listener->nng, NNG_OPT_IPC_PERMISSIONS, 0600);
    error = stream_error(nng_stream_listener_listen(listener->nng));
    if (error != 0)
        goto fail_listen;
    stream_accept(listener);
    *out_listener = listener;
    return 0;

fail_listen:
    nng_stream_listener_free(listener->nng);
fail_task:
    stream_task_fini(&listener->accept);
    free(listener);
    return error;
}

void stream_listener_close(struct stream_listener *listener, void (*closed)(void *owner))
{
    CHECK(listener->closed == NULL && closed != NULL);
    listener->closed = closed;
    nng_stream_listener_close(listener->nng);
    if (listener->accept.pending)
        nng_aio_cancel(listener->accept.aio);
    listener->end_pending = true;
    port_post(listener->port, &listener->end);
}
