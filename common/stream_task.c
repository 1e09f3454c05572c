#include "log.h"
#include "stream_nng.h"

int stream_error(int nng_error)
{
    static const struct {
        int nng;
        int error;
    } table[] = {
        {0, 0},
        {NNG_ECLOSED, -ECONNRESET},
        {NNG_ECONNSHUT, -ECONNRESET},
        {NNG_ECONNRESET, -ECONNRESET},
        {NNG_ECONNABORTED, -ECONNRESET},
        {NNG_ECONNREFUSED, -ECONNREFUSED},
        {NNG_ENOENT, -ENOENT},
        {NNG_ECANCELED, -ECANCELED},
        {NNG_EADDRINUSE, -EADDRINUSE},
        {NNG_EADDRINVAL, -EINVAL},
        {NNG_EINVAL, -EINVAL},
        {NNG_EPERM, -EACCES},
        {NNG_ENOMEM, -ENOMEM},
        {NNG_ENOFILES, -EMFILE},
        {NNG_ETIMEDOUT, -ETIMEDOUT},
    };

    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (table[i].nng == nng_error)
            return table[i].error;
    }
    log_debug("stream", "nng says %d: %s", nng_error, nng_strerror(nng_error));
    return -EIO;
}

// On a thread of nng's.
static void stream_task_post(void *argument)
{
    struct stream_task *task = argument;

    port_post(task->port, &task->op);
}

int stream_task_init(struct stream_task *task, struct port *port, void (*done)(struct port_op *op))
{
    task->port = port;
    task->op.done = done;
    return stream_error(nng_aio_alloc(&task->aio, stream_task_post, task));
}

void stream_task_fini(struct stream_task *task)
{
    CHECK(!task->pending);
    if (task->aio == NULL)
        return;
    // Stops first: the callback that posted the last completion may still be returning.
    nng_aio_stop(task->aio);
    nng_aio_free(task->aio);
}
