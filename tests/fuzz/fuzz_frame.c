// Goal: no codec and no stream of bytes, split in any way, makes the frame codec read past its
// input, stand still, or say two things of the same bytes.
// Method: the first bytes choose a codec (or are a description to parse), the maximum and the
// splits; the rest is the stream. It is taken apart at once and piece by piece, and must give the
// same frames; each frame is encoded again and must be the bytes it was.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_SIZE = 7 };

// What a walk over the stream brought.
struct walk {
    uint64_t hash; // of all payloads and, but for raw, their ends
    uint64_t frames;
    enum frame_result result;
    enum frame_error error;
    size_t consumed;
};

static void walk_add(struct walk *walk, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        walk->hash = (walk->hash ^ bytes.data[i]) * 0x100000001B3u;
}

// A frame says the same bytes again, if it was not a line that ended with a bare LF.
static void check_encode(const struct frame_codec *codec, const uint8_t *data,
                         const struct frame *frame)
{
    static uint8_t payload[1 << 16];
    size_t size = frame->prefix.size + frame->body.size;
    struct frame_wire wire;
    int rc;

    CHECK(size <= sizeof(payload));
    if (frame->prefix.size > 0)
        memcpy(payload, frame->prefix.data, frame->prefix.size);
    if (frame->body.size > 0)
        memcpy(payload + frame->prefix.size, frame->body.data, frame->body.size);
    rc = frame_encode(codec, (struct bytes){payload, size}, &wire);
    if (codec->kind == FRAME_LINE) {
        CHECK(rc == (memchr(payload, '\r', size) == NULL ? 0 : -EINVAL));
        return;
    }
    CHECK(rc == 0);
    CHECK(wire.head_size + wire.body.size + wire.tail.size == frame->consumed);
    CHECK(memcmp(wire.head, data, wire.head_size) == 0);
    CHECK(memcmp(wire.body.data, data + wire.head_size, wire.body.size) == 0);
}

// Takes all frames off the front, as a session does. Returns the bytes they took.
static size_t walk_take(struct walk *walk, const struct frame_codec *codec, const uint8_t *data,
                        size_t size)
{
    static const uint8_t end = 0xEE;
    size_t taken = 0;
    struct frame frame;

    while ((walk->result = frame_next(codec, data + taken, size - taken, &frame)) == FRAME_READY) {
        CHECK(frame.consumed >= 1 && frame.consumed <= size - taken);
        CHECK(frame.prefix.size + frame.body.size <= codec->payload_max);
        CHECK(frame.prefix.size + frame.body.size >= codec->payload_min);
        check_encode(codec, data + taken, &frame);
        walk_add(walk, frame.prefix);
        walk_add(walk, frame.body);
        if (codec->kind != FRAME_RAW)
            walk_add(walk, (struct bytes){&end, 1});
        walk->frames++;
        taken += frame.consumed;
    }
    walk->error = walk->result == FRAME_BAD ? frame.error : FRAME_ERROR_NONE;
    CHECK(walk->result != FRAME_MORE || frame.needed == 0 || frame.needed > size - taken);
    walk->consumed += taken;
    return taken;
}

static struct walk walk_split(const struct frame_codec *codec, const uint8_t *data, size_t size,
                              uint64_t random)
{
    struct walk walk = {0};
    struct buffer inbox = {0};
    size_t given = 0;

    while (given < size && walk.result != FRAME_BAD) {
        size_t piece;

        random = random * 6364136223846793005u + 1442695040888963407u;
        piece = 1 + (random >> 33) % (random & 0x100000 ? 3 : 40);
        if (piece > size - given)
            piece = size - given;
        CHECK(buffer_append(&inbox, data + given, piece) == 0);
        given += piece;
        buffer_consume(&inbox, walk_take(&walk, codec, buffer_data(&inbox), buffer_size(&inbox)));
    }
    buffer_free(&inbox);
    return walk;
}

static bool codec_choose(const uint8_t head[HEAD_SIZE], struct frame_codec *out_codec)
{
    static const char *const presets[] = {"rookiss", "len16be", "len32be",
                                          "len32le", "line",    "raw"};
    uint32_t payload_max = (uint32_t)head[1] << 8 | head[2];
    char text[128];

    if (head[0] % 8 < ARRAY_COUNT(presets))
        return frame_codec_parse(out_codec, presets[head[0] % 8], payload_max, NULL) == 0;
    snprintf(text, sizeof(text), "length:offset=%u,width=%u,order=%s,counts=%s,min=%u",
             head[3] % 17u, 1 + head[4] % 4u, head[4] & 4 ? "big" : "little",
             head[4] & 8 ? "frame" : "payload", head[5] % 32u);
    return frame_codec_parse(out_codec, text, payload_max, NULL) == 0;
}

static void check_description(const uint8_t *data, size_t size)
{
    char text[256];
    struct frame_codec codec;
    const char *why = NULL;

    if (size >= sizeof(text))
        size = sizeof(text) - 1;
    memcpy(text, data, size);
    text[size] = '\0';
    if (frame_codec_parse(&codec, text, 65536, &why) != 0) {
        CHECK(why != NULL);
        return;
    }
    CHECK(codec.payload_max >= 1 && codec.payload_max <= 65536 + FRAME_OFFSET_MAX);
    CHECK(codec.payload_min <= codec.payload_max);
    CHECK(codec.kind != FRAME_LENGTH || (codec.width >= 1 && codec.width <= 4));
    CHECK(codec.offset <= FRAME_OFFSET_MAX && codec.offset <= codec.payload_min);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_codec codec;
    struct walk whole = {0};
    struct walk split;

    if (size < HEAD_SIZE)
        return 0;
    if (data[0] % 8 == 7) {
        check_description(data + 1, size - 1);
        return 0;
    }
    if (!codec_choose(data, &codec))
        return 0;
    walk_take(&whole, &codec, data + HEAD_SIZE, size - HEAD_SIZE);
    split =
        walk_split(&codec, data + HEAD_SIZE, size - HEAD_SIZE, (uint64_t)data[6] << 8 | data[5]);
    CHECK(split.hash == whole.hash);
    CHECK(split.consumed == whole.consumed);
    CHECK(split.result == whole.result && split.error == whole.error);
    CHECK(codec.kind == FRAME_RAW || split.frames == whole.frames);
    return 0;
}
