// stream_fake.h - common/stream.h in memory: what a test may ask of it beyond that header.
// Floor 2.
//
//   1. stream_fake_reset() with a configuration, before each case
//   2. stream_listen() and stream_dial() on ports of port_fake.h; any text is an address
//   3. now and then: stream_fake_stall(), stream_fake_break(), stream_fake_fail()
//   4. at the end: stream_fake_open() is 0
//
// Everything happens in done functions of posts, so port_poll() of the fake port drives it and its
// seed mixes it with the rest. No clock: who dials an address that nobody listens at waits until
// somebody does. A batch that is lent is memory of its own, freed with the loan: a tool sees who
// reads it later.
#ifndef TROUPE_STREAM_FAKE_H
#define TROUPE_STREAM_FAKE_H

#include "base.h"
#include "stream.h"

struct stream_fake_config {
    uint64_t seed; // of every choice
    bool pieces;   // batches arrive cut at any byte, several at once; else one by one
    bool lossy;    // an end that closes takes some of what has not arrived with it; else nothing
};

enum stream_fake_call { STREAM_FAKE_LISTEN, STREAM_FAKE_DIAL };

// Forgets addresses and faults. Everything must have been closed.
void stream_fake_reset(const struct stream_fake_config *config);

// While stalled, nothing this end flushes arrives, and its send does not come home.
void stream_fake_stall(struct stream *stream, bool stalled);

// The connection is lost: this end closes with the error, the other one with -ECONNRESET.
void stream_fake_break(struct stream *stream, int error);

// The next call of this kind returns the error.
void stream_fake_fail(enum stream_fake_call call, int error);

// Streams and listeners that are not closed yet.
uint32_t stream_fake_open(void);

#endif
