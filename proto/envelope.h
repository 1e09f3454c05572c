// envelope.h - the link protocol: what gateway and worker say to each other, in msgpack.
// Floor 1. Pure. proto/PROTOCOL.md is the reference by the byte.
//
//   out: envelope_encode(&buffer, &envelope) as often as wanted; the buffer is a batch's body
//   in:  envelope_reader_create(); for each batch envelope_reader_start() and envelope_next() until
//        it says END_OF_BATCH; envelope_reader_destroy()
//
// Each envelope is one flat msgpack array: [kind, field, ...], fields are unsigned integers,
// strings or binaries, never containers; a batch is envelopes one after another. What a kind may
// carry, who may send it and which limits hold stands in one table in envelope.c. Nothing that
// arrives is trusted: a wrong type, count, length, unknown kind or direction is ENVELOPE_BAD, and
// the whole link ends with it. Nothing is allocated for what a count promises.
#ifndef TROUPE_ENVELOPE_H
#define TROUPE_ENVELOPE_H

#include "base.h"
#include "buffer.h"

enum {
    ENVELOPE_VERSION = 1,                  // of the protocol; both sides must say the same
    ENVELOPE_TEXT_MAX = 255,               // bytes of any string
    ENVELOPE_GROUP_MAX = 64,               // bytes of a group's name, 1 at least
    ENVELOPE_EFFECTS_MAX = 256,            // effects of one commit
    ENVELOPE_BATCH_MAX = 32 * 1024 * 1024, // bytes of a batch: above any frame and its envelope
};

enum envelope_side { ENVELOPE_FROM_WORKER, ENVELOPE_FROM_GATEWAY };

enum envelope_kind {
    // worker -> gateway
    ENVELOPE_HELLO = 1,    // version token worker process_id app app_version types
    ENVELOPE_COMMIT = 2,   // session epoch sequence effects: that many effect envelopes follow
    ENVELOPE_REPLY = 3,    // effect: payload, one frame to the session's client
    ENVELOPE_END = 4,      // effect: close the session once its replies are out
    ENVELOPE_PONG = 5,     // serial
    ENVELOPE_LEAVING = 6,  // the worker wants its actors moved
    ENVELOPE_STATE = 7,    // effect: state_version payload, what the actor remembers from now on
    ENVELOPE_SEND = 8,     // effect: session payload, one frame to another session's client
    ENVELOPE_JOIN = 9,     // effect: group, the session's client is a member from now on
    ENVELOPE_LEAVE = 10,   // effect: group
    ENVELOPE_PUBLISH = 11, // effect: group session payload, one frame to all members' clients but
                           // that session's (0: to all)
    ENVELOPE_TIMER = 12,   // effect: tag after_ms every_ms, sets the actor's timer of that tag
    ENVELOPE_CANCEL = 13,  // effect: tag
    // gateway -> worker
    ENVELOPE_WELCOME = 32, // version shard shards frame_max seed
    ENVELOPE_REFUSED = 33, // why
    ENVELOPE_OPEN = 34,    // session epoch sequence now peer: a client has come
    ENVELOPE_FRAME = 35,   // session epoch sequence now payload
    ENVELOPE_CLOSE = 36,   // session epoch sequence now reason: the client is gone, the last input
    ENVELOPE_PING = 37,    // serial
    ENVELOPE_DRAIN = 38,   // the worker has no actors any more: it may go
    ENVELOPE_RESTORE = 39, // session epoch sequence state_version payload: take over an actor that
                           // has committed so many inputs; its next input follows
    ENVELOPE_FIRED = 40,   // session epoch sequence now tag: a timer of the actor's
};

// Fields not named for the kind above are zero after decoding and ignored by encoding.
struct envelope {
    enum envelope_kind kind;
    uint32_t epoch;         // number of the session's binding to a worker
    uint64_t session;       // the gateway's id, opaque to the worker; SEND: to whom; PUBLISH: to
                            // whom not
    uint64_t sequence;      // of the input within its session: 1, 2, 3 ...; the same in a replay
    uint64_t now_ms;        // of an input: since 1970, when it came in; the same in a replay
    uint64_t seed;          // WELCOME: of what actors call random; the same on all links of a node
    uint32_t effects;       // COMMIT: how many effect envelopes belong to it
    uint32_t version;       // HELLO, WELCOME
    uint32_t state_version; // STATE, RESTORE: the actor's own number
    uint32_t worker;        // HELLO: number the supervisor gave, 0-based
    uint32_t shard;         // WELCOME: who speaks
    uint32_t shards;        // WELCOME: how many there are
    uint32_t frame_max;     // WELCOME: largest payload of a reply, bytes
    uint64_t process_id;    // HELLO
    uint64_t tag;           // TIMER, CANCEL, FIRED: the actor's own number
    uint32_t after_ms;      // TIMER: first time, from when the commit is applied
    uint32_t every_ms;      // TIMER: and so often after that; 0 = once
    uint64_t serial;        // PING, PONG
    struct bytes token;     // HELLO: proves that both belong to one node; binary, 64 bytes at most
    struct bytes text;      // HELLO app; OPEN peer; CLOSE reason; REFUSED why; JOIN, LEAVE, PUBLISH
                            // group; printable UTF-8
    struct bytes text2;     // HELLO app_version
    struct bytes types;     // HELLO: actor types, separated by a blank
    struct bytes prefix;    // FRAME when encoding: before payload, in its field; decoded: empty
    struct bytes payload;   // FRAME, REPLY, STATE, RESTORE, SEND, PUBLISH
};

// Appends one envelope. 0, -ENOMEM, or -EINVAL for a field out of its range, a text that is not
// printable among them; on failure the buffer is as before.
int envelope_encode(struct buffer *to, const struct envelope *envelope);

// Bytes that an envelope with this much payload takes at most.
size_t envelope_size_max(size_t payload_size);

enum envelope_result { ENVELOPE_READY, ENVELOPE_END_OF_BATCH, ENVELOPE_BAD };

// Walks a batch. Slices of the decoded envelope point into the batch's body.
struct envelope_reader {
    enum envelope_side side; // who sent the batch: only that side's kinds are let through
    struct bytes rest;
    uint32_t effects_due; // effects of the last commit that have not come yet
    const char *why;      // after ENVELOPE_BAD: a static text
    void *zone;           // msgpack's scratch, kept between envelopes
};

int envelope_reader_create(struct envelope_reader *reader, enum envelope_side side); // 0, -ENOMEM
void envelope_reader_destroy(struct envelope_reader *reader);
void envelope_reader_start(struct envelope_reader *reader, struct bytes body);

// An effect is let through only after a commit that announced it, and the batch may not end, nor
// another kind come, before all of a commit's effects have. After BAD the reader stays BAD until
// the next start.
enum envelope_result envelope_next(struct envelope_reader *reader, struct envelope *out_envelope);

const char *envelope_kind_text(enum envelope_kind kind); // "commit"; "?" for a number that is none

#endif
