// stream.h - batches between two processes over an nng stream (ipc): unix socket or named pipe.
// Floor 1. The one place, with stream.c, that knows nng's streams.
//
//   gateway: stream_listen(); each accepted stream arrives with `accepted`
//   worker:  stream_dial(); tries again with back-off until it is connected or closed
//   both:    encode into stream_outbox(), stream_flush() at the end of a poll batch; `batch` brings
//            what the other side flushed; stream_close(), and the memory is back after `closed`
//
// A batch on the wire is a u32 big-endian length, 1 to batch_max, and that many bytes. One receive
// and one send are in flight at most: what is encoded while a send is under way goes into the next
// one, so batches grow with load by themselves.
//
// Owner: the thread of `port`. nng's threads only post to it; every callback below runs on the
// owner's thread, from port_poll(). A length out of range ends the stream with -EPROTO.
#ifndef TROUPE_STREAM_H
#define TROUPE_STREAM_H

#include "base.h"
#include "buffer.h"

struct port;
struct stream;
struct stream_listener;

struct stream_handler {
    // Dialled streams: the connection stands (again). Accepted streams are open from the start.
    void (*opened)(void *owner);
    // One batch. The bytes are lent until stream_next(), which may be called from here or later:
    // until then nothing more is received, and the other side is pushed back. May call
    // stream_close(), which ends the loan when `closed` is called.
    void (*batch)(void *owner, struct bytes body);
    // A flush has left: the outbox may have room again.
    void (*sent)(void *owner);
    // The stream has ended, by itself (-ECONNRESET, -EPROTO, -ENOMEM) or by stream_close()
    // (-ECANCELED); once, the last call; the stream is freed when it returns.
    void (*closed)(void *owner, int error);
};

// Listens on an nng ipc address. `accepted` gets each new stream; it must call stream_start() or
// stream_close() on it before it returns. 0, -EADDRINUSE, -EINVAL, -EACCES, -ENOMEM.
int stream_listen(struct stream_listener **out_listener, struct port *port, const char *address,
                  uint32_t batch_max, void (*accepted)(void *owner, struct stream *stream),
                  void *owner);

// Asynchronous: `closed` is called once, the last call. Accepted streams live on.
void stream_listener_close(struct stream_listener *listener, void (*closed)(void *owner));

// A stream that dials until it stands. 0, -EINVAL, -ENOMEM. It starts at once; a dialled stream
// ends when its connection does: dial a new one from `closed` if wanted.
int stream_dial(struct stream **out_stream, struct port *port, const char *address,
                uint32_t batch_max, const struct stream_handler *handler, void *owner);

// Ties an accepted stream to its owner and starts to receive.
void stream_start(struct stream *stream, const struct stream_handler *handler, void *owner);

// Gives the batch back: the next one may come, from within this call or later.
void stream_next(struct stream *stream);

// Where to append what is to be sent (its first 4 bytes are the stream's): whole units, as a flush
// may take it at any time. Its size may not pass batch_max when it is flushed (the caller's windows
// see to that; checked).
struct buffer *stream_outbox(struct stream *stream);

// Sends the outbox now if no send is under way; otherwise it goes when that one is home.
void stream_flush(struct stream *stream);

// Bytes that wait in the outbox, without those of a send under way.
size_t stream_unsent(const struct stream *stream);

// True while a send is under way.
bool stream_sending(const struct stream *stream);

// Ends it now; what was not sent is dropped. `closed` follows from a later port_poll(). Again: no
// effect.
void stream_close(struct stream *stream);

#endif
