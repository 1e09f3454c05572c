// frame.h - client framing: where one message of a byte stream ends and the next begins.
// Floor 1. Pure: no allocation, no I/O, slices into the caller's bytes.
//
//   1. frame_codec_parse(&codec, "rookiss", max, &why)
//   2. in:  frame_next(&codec, data, size, &frame) until it says FRAME_MORE; consume frame.consumed
//   3. out: frame_encode(&codec, payload, &wire), send wire.head, wire.body, wire.tail in turn
//
// The payload is the frame without its length field (length codecs) or its line end (line). A
// length field that does not stand first has a prefix before it: the payload is then prefix and
// rest, and frame_next() gives them as two slices.
//
// Presets, by what existing clients speak:
//   rookiss   u16 little-endian size that counts itself, then u16 id; payload = id and body,
//             2 bytes at least
//   len16be   u16 big-endian length of what follows, 1 at least
//   len32be, len32le   the same with u32
//   line      text up to LF or CR LF; sent with CR LF
//   raw       whatever a receive brought, 1 byte to the maximum
// and any other length field: "length:offset=2,width=4,order=big,counts=payload,min=0", where
// counts says what the length counts: "payload" (what follows the field), "frame" (all, with field
// and prefix), and min is the smallest payload. Widths are 1, 2, 3 and 4; offset is 0 to 16. Width
// must be said; the others are offset=0,order=big,counts=payload,min=0 if not.
//
// A length below the header's own size, below the minimum, or above the maximum is FRAME_BAD: a
// stream that lost its frame boundary cannot be trusted again, so the session is closed.
#ifndef TROUPE_FRAME_H
#define TROUPE_FRAME_H

#include "base.h"

enum {
    FRAME_OFFSET_MAX = 16,
    FRAME_HEAD_MAX = FRAME_OFFSET_MAX + 4, // most bytes of struct frame_wire's head
    FRAME_PAYLOAD_MAX = 16 * 1024 * 1024,  // the largest maximum a codec may have
};

enum frame_kind { FRAME_LENGTH, FRAME_LINE, FRAME_RAW };

struct frame_codec {
    enum frame_kind kind;
    uint8_t offset;       // FRAME_LENGTH: bytes before the length field
    uint8_t width;        // FRAME_LENGTH: bytes of the length field, 1 to 4
    bool big_endian;      // FRAME_LENGTH
    bool counts_frame;    // FRAME_LENGTH: the length counts prefix and field too
    uint32_t payload_min; // bytes, prefix included
    uint32_t payload_max; // bytes, prefix included; never more than the length field can say
};

enum frame_result { FRAME_MORE, FRAME_READY, FRAME_BAD };

enum frame_error { FRAME_ERROR_NONE, FRAME_ERROR_TOO_SHORT, FRAME_ERROR_TOO_LONG };

struct frame {
    struct bytes prefix; // FRAME_READY: what stood before the length field; mostly empty
    struct bytes body;   // FRAME_READY: the rest of the payload
    size_t consumed;     // FRAME_READY: bytes of the input that this frame took, 1 at least
    size_t needed;       // FRAME_MORE: size the input must have for the next step, if known, or 0
    enum frame_error error; // FRAME_BAD
};

struct frame_wire {
    uint8_t head[FRAME_HEAD_MAX]; // prefix and length field
    size_t head_size;
    struct bytes body;
    struct bytes tail; // static bytes
};

// Parses a preset or a description. payload_max is what is wanted; the codec's own maximum is what
// the length field can carry of it. 0, or -EINVAL with a static text in out_why.
int frame_codec_parse(struct frame_codec *out_codec, const char *text, uint32_t payload_max,
                      const char **out_why);

// Looks for one frame at the front of data. Pure; the same bytes give the same answer however often
// it is asked, and however they were split before.
enum frame_result frame_next(const struct frame_codec *codec, const uint8_t *data, size_t size,
                             struct frame *out_frame);

// What stands around a payload on the wire. 0; -EMSGSIZE when it is below the codec's minimum or
// above its maximum, -EINVAL when it cannot be said in this codec (a line with LF or CR in it).
int frame_encode(const struct frame_codec *codec, struct bytes payload,
                 struct frame_wire *out_wire);

const char *frame_error_text(enum frame_error error); // "frame too long"; never NULL

#endif
