// stream_nng.h - one nng operation at a time, brought home through a port; for stream*.c only.
// Floor 1.
#ifndef TROUPE_STREAM_NNG_H
#define TROUPE_STREAM_NNG_H

#include <nng/nng.h>

#include "base.h"
#include "port.h"

struct stream;

// One nng operation: its callback runs on a thread of nng's and only posts; `done` of the op then
// runs on the owner's thread.
struct stream_task {
    nng_aio *aio;
    struct port *port;
    struct port_op op;
    bool pending;
};

// 0, -ENOMEM. The task is to be zeroed before.
int stream_task_init(struct stream_task *task, struct port *port, void (*done)(struct port_op *op));

// Nothing may be pending. Fine on a zeroed task.
void stream_task_fini(struct stream_task *task);

// nng's error as a negative errno.
int stream_error(int nng_error);

// A stream without an owner yet. Takes over `accepted`, also when it returns NULL (out of memory).
struct stream *stream_adopt(struct port *port, uint32_t batch_max, nng_stream *accepted);

#endif
