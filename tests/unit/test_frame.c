// Goal: every codec finds exactly the frames that are in a stream, calls every wrong length bad at
// once, and always moves on.
// Method: tables for what texts mean and for the edges; all lengths of narrow fields and the edges
// of wide ones against a model; seeded random codecs, payloads, bytes and splits of the stream.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "frame.h"

enum { STREAM_MAX = 4096, SEED_COUNT = 3000 };

static const char *const preset_names[] = {"rookiss", "len16be", "len32be",
                                           "len32le", "line",    "raw"};

static uint64_t random_state;

static uint32_t random_below(uint32_t limit) // limit 1 at least
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % limit;
}

static struct frame_codec parse(const char *text, uint32_t payload_max)
{
    struct frame_codec codec = {0};
    const char *why = "";

    if (frame_codec_parse(&codec, text, payload_max, &why) != 0)
        fail_msg("'%s' with %u: %s", text, (unsigned)payload_max, why);
    return codec;
}

// A preset, or a length codec of any kind, with a small maximum.
static struct frame_codec random_codec(void)
{
    char text[128];
    uint32_t offset = random_below(FRAME_OFFSET_MAX + 1);

    if (random_below(2) == 0)
        return parse(preset_names[random_below(ARRAY_COUNT(preset_names))], 2 + random_below(300));
    snprintf(text, sizeof(text), "length:offset=%u,width=%u,order=%s,counts=%s,min=%u", offset,
             1 + random_below(4), random_below(2) ? "big" : "little",
             random_below(2) ? "frame" : "payload", random_below(20));
    return parse(text, 20 + random_below(300));
}

static void put_length(const struct frame_codec *codec, uint64_t length, uint8_t *field)
{
    for (unsigned i = 0; i < codec->width; i++) {
        unsigned place = codec->big_endian ? codec->width - 1u - i : i;

        field[place] = (uint8_t)(length >> (8 * i));
    }
}

static size_t wire_append(struct buffer *to, const struct frame_wire *wire)
{
    assert_int_equal(buffer_append(to, wire->head, wire->head_size), 0);
    assert_int_equal(buffer_append(to, wire->body.data, wire->body.size), 0);
    assert_int_equal(buffer_append(to, wire->tail.data, wire->tail.size), 0);
    return wire->head_size + wire->body.size + wire->tail.size;
}

static void frame_presets_mean_what_clients_speak(void **state)
{
    static const struct {
        const char *name;
        struct frame_codec codec;
    } rows[] = {
        {"rookiss", {FRAME_LENGTH, 0, 2, false, true, 2, 1000}},
        {"len16be", {FRAME_LENGTH, 0, 2, true, false, 1, 1000}},
        {"len32be", {FRAME_LENGTH, 0, 4, true, false, 1, 1000}},
        {"len32le", {FRAME_LENGTH, 0, 4, false, false, 1, 1000}},
        {"line", {FRAME_LINE, 0, 0, false, false, 0, 1000}},
        {"raw", {FRAME_RAW, 0, 0, false, false, 1, 1000}},
        {"length:width=1", {FRAME_LENGTH, 0, 1, true, false, 0, 255}},
        {"length:offset=2,width=4,order=big,counts=payload,min=0",
         {FRAME_LENGTH, 2, 4, true, false, 2, 1000}},
        {"length:min=9,counts=frame,order=little,width=3,offset=16",
         {FRAME_LENGTH, 16, 3, false, true, 16, 1000}},
        {"length:width=2,min=30", {FRAME_LENGTH, 0, 2, true, false, 30, 1000}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct frame_codec codec = parse(rows[i].name, 1000);
        const struct frame_codec *want = &rows[i].codec;

        assert_int_equal(codec.kind, want->kind);
        assert_int_equal(codec.offset, want->offset);
        assert_int_equal(codec.width, want->width);
        if (codec.kind == FRAME_LENGTH)
            assert_int_equal(codec.big_endian, want->big_endian);
        assert_int_equal(codec.counts_frame, want->counts_frame);
        assert_int_equal(codec.payload_min, want->payload_min);
        assert_int_equal(codec.payload_max, want->payload_max);
    }
}

static void frame_maximum_is_what_the_field_can_say(void **state)
{
    static const struct {
        const char *text;
        uint32_t wanted;
        uint32_t payload_max;
    } rows[] = {
        {"rookiss", 65536, 65533},
        {"rookiss", 65533, 65533},
        {"rookiss", 2, 2},
        {"len16be", 65536, 65535},
        {"len32be", UINT32_MAX, FRAME_PAYLOAD_MAX},
        {"len32le", FRAME_PAYLOAD_MAX - 1, FRAME_PAYLOAD_MAX - 1},
        {"line", UINT32_MAX, FRAME_PAYLOAD_MAX},
        {"raw", 1, 1},
        {"length:width=1,counts=frame", 1000, 254},
        {"length:width=1,offset=16", 1000, 271},
        {"length:width=1,offset=16,counts=frame", 1000, 254},
        {"length:width=3", UINT32_MAX, 0xFFFFFF},
        {"length:width=3,offset=16", UINT32_MAX, FRAME_PAYLOAD_MAX},
        {"length:width=4,offset=16", UINT32_MAX, FRAME_PAYLOAD_MAX},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(parse(rows[i].text, rows[i].wanted).payload_max, rows[i].payload_max);
}

static void frame_wrong_description_is_refused_with_why(void **state)
{
    static const struct {
        const char *text;
        uint32_t wanted;
    } rows[] = {
        {"", 100},
        {"Line", 100},
        {"line ", 100},
        {"length", 100},
        {"length:", 100},
        {"length:offset=2", 100},
        {"length:width=0", 100},
        {"length:width=5", 100},
        {"length:width=", 100},
        {"length:width", 100},
        {"length:width=2x", 100},
        {"length:width=-1", 100},
        {"length:width=+1", 100},
        {"length: width=2", 100},
        {"length:width=2,width=2", 100},
        {"length:width=2,", 100},
        {"length:,width=2", 100},
        {"length:width=2,,min=1", 100},
        {"length:width=2,size=1", 100},
        {"length:width=2,offset=17", 100},
        {"length:width=2,order=middle", 100},
        {"length:width=2,counts=all", 100},
        {"length:width=2,min=16777217", 100},
        {"length:width=2,min=4294967297", 100},
        {"length:width=2,min=99999999999999999999", 100},
        {"length:width=2,min=101", 100},
        {"length:width=1,min=256", 1000},
        {"length:width=2,offset=16", 15},
        {"rookiss", 1},
        {"len32be", 0},
        {"line", 0},
        {"raw", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct frame_codec codec = {.width = 77};
        const char *why = NULL;

        if (frame_codec_parse(&codec, rows[i].text, rows[i].wanted, &why) != -EINVAL)
            fail_msg("'%s' with %u was taken", rows[i].text, (unsigned)rows[i].wanted);
        assert_non_null(why);
        assert_int_equal(codec.width, 77);
        assert_int_equal(frame_codec_parse(&codec, rows[i].text, rows[i].wanted, NULL), -EINVAL);
    }
}

// What a length means, from the words of frame.h.
static enum frame_result model_length(const struct frame_codec *codec, uint64_t length,
                                      enum frame_error *out_error, int64_t *out_whole)
{
    int64_t body = (int64_t)length;
    int64_t payload;

    if (codec->counts_frame)
        body -= codec->offset + codec->width;
    payload = codec->offset + body;
    *out_whole = codec->width + payload;
    *out_error = FRAME_ERROR_NONE;
    if (body < 0 || payload < codec->payload_min)
        *out_error = FRAME_ERROR_TOO_SHORT;
    else if (payload > codec->payload_max)
        *out_error = FRAME_ERROR_TOO_LONG;
    return *out_error == FRAME_ERROR_NONE ? FRAME_READY : FRAME_BAD;
}

static void check_length(const struct frame_codec *codec, uint64_t length)
{
    uint8_t head[FRAME_HEAD_MAX] = {0};
    size_t head_size = (size_t)codec->offset + codec->width;
    enum frame_error error;
    enum frame_result result;
    struct frame frame;
    int64_t whole;

    put_length(codec, length, head + codec->offset);
    for (size_t size = 0; size < head_size; size++) {
        assert_int_equal(frame_next(codec, head, size, &frame), FRAME_MORE);
        assert_int_equal(frame.needed, head_size);
    }
    result = frame_next(codec, head, head_size, &frame);
    if (model_length(codec, length, &error, &whole) == FRAME_BAD) {
        assert_int_equal(result, FRAME_BAD);
        assert_int_equal(frame.error, error);
    } else if ((size_t)whole > head_size) {
        assert_int_equal(result, FRAME_MORE);
        assert_int_equal(frame.needed, whole);
    } else {
        assert_int_equal(result, FRAME_READY);
        assert_int_equal(frame.consumed, whole);
    }
}

static void frame_every_length_is_judged_once_it_is_there(void **state)
{
    static const uint64_t edges[] = {0,           1,           2,           3,
                                     4,           5,           15,          16,
                                     17,          18,          19,          20,
                                     21,          0xFFFF,      0x10000,     FRAME_PAYLOAD_MAX - 1,
                                     0x1000000,   0x1000001,   0x1000010,   0x1000014,
                                     0x7FFFFFFFu, 0x80000000u, 0xFFFFFFEBu, 0xFFFFFFEFu,
                                     0xFFFFFFF0u, 0xFFFFFFFBu, 0xFFFFFFFEu, 0xFFFFFFFFu};
    struct frame_codec codec = {.kind = FRAME_LENGTH};

    (void)state;
    for (unsigned variant = 0; variant < 4 * 2 * 2 * 3; variant++) {
        char text[128];

        snprintf(text, sizeof(text), "length:width=%u,order=%s,counts=%s,offset=%u,min=%u",
                 1 + variant % 4, variant / 4 % 2 ? "big" : "little",
                 variant / 8 % 2 ? "frame" : "payload", variant / 16 % 3 * 8,
                 variant / 16 % 3 * 10);
        codec = parse(text, variant % 3 == 0 ? UINT32_MAX : 200);
        for (uint32_t length = 0; length < (codec.width == 1 ? 0x100u : 0x10000u); length++)
            check_length(&codec, length);
        for (size_t i = 0; i < ARRAY_COUNT(edges); i++)
            if (edges[i] >> (8 * codec.width) == 0)
                check_length(&codec, edges[i]);
    }
}

// The loop of many a tutorial takes 0 bytes of a frame of size 0, again and again.
static void frame_size_zero_ends_the_loop(void **state)
{
    static const uint8_t zeros[64] = {0};
    struct frame frame;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct frame_codec codec = parse(preset_names[i], 1000);

        assert_int_equal(frame_next(&codec, zeros, sizeof(zeros), &frame), FRAME_BAD);
        assert_int_equal(frame.error, FRAME_ERROR_TOO_SHORT);
        assert_int_equal(frame.consumed, 0);
    }
}

static void frame_empty_payload_still_takes_its_length_field(void **state)
{
    static const uint8_t zeros[8] = {0};
    struct frame_codec codec = parse("length:width=2,min=0", 100);
    struct frame frame;

    (void)state;
    assert_int_equal(frame_next(&codec, zeros, sizeof(zeros), &frame), FRAME_READY);
    assert_int_equal(frame.body.size, 0);
    assert_int_equal(frame.consumed, 2);
}

static void frame_prefix_and_body_are_two_slices(void **state)
{
    static const uint8_t stream[] = {'i', 'd', 0, 7, 'b', 'o', 'y', '?'};
    struct frame_codec codec = parse("length:offset=2,width=2,counts=frame", 100);
    struct frame_wire wire;
    struct frame frame;

    (void)state;
    assert_int_equal(frame_next(&codec, stream, sizeof(stream), &frame), FRAME_READY);
    assert_ptr_equal(frame.prefix.data, stream);
    assert_int_equal(frame.prefix.size, 2);
    assert_ptr_equal(frame.body.data, stream + 4);
    assert_int_equal(frame.body.size, 3);
    assert_int_equal(frame.consumed, 7);
    assert_int_equal(frame_encode(&codec, (struct bytes){(const uint8_t *)"idboy", 5}, &wire), 0);
    assert_int_equal(wire.head_size, 4);
    assert_memory_equal(wire.head, stream, 4);
    assert_int_equal(wire.body.size, 3);
    assert_int_equal(wire.tail.size, 0);
}

static void frame_line_ends_with_lf_or_cr_lf(void **state)
{
    static const struct {
        const char *stream;
        enum frame_result result;
        int size; // of the payload
        int consumed;
    } rows[] = {
        {"", FRAME_MORE, 0, 0},           {"ab", FRAME_MORE, 0, 0},
        {"ab\r", FRAME_MORE, 0, 0},       {"\n", FRAME_READY, 0, 1},
        {"\r\n", FRAME_READY, 0, 2},      {"\r\r\n", FRAME_READY, 1, 3},
        {"ab\nc\n", FRAME_READY, 2, 3},   {"ab\r\nc", FRAME_READY, 2, 4},
        {"a\rb\n", FRAME_READY, 3, 4},    {"abcde\n", FRAME_READY, 5, 6},
        {"abcde\r\n", FRAME_READY, 5, 7}, {"abcde", FRAME_MORE, 0, 0},
        {"abcde\r", FRAME_MORE, 0, 0},    {"abcdef", FRAME_BAD, 0, 0},
        {"abcdef\n", FRAME_BAD, 0, 0},    {"abcde\rx", FRAME_BAD, 0, 0},
        {"abcde\r\r", FRAME_BAD, 0, 0},   {"abcde\r\r\n", FRAME_BAD, 0, 0},
    };
    struct frame_codec codec = parse("line", 5);

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const uint8_t *data = (const uint8_t *)rows[i].stream;
        struct frame frame;

        assert_int_equal(frame_next(&codec, data, strlen(rows[i].stream), &frame), rows[i].result);
        assert_int_equal(frame.body.size, rows[i].size);
        assert_int_equal(frame.consumed, rows[i].consumed);
        assert_int_equal(frame.error,
                         rows[i].result == FRAME_BAD ? FRAME_ERROR_TOO_LONG : FRAME_ERROR_NONE);
        assert_int_equal(frame.needed, 0);
    }
}

static void frame_raw_is_what_came_up_to_the_maximum(void **state)
{
    struct frame_codec codec = parse("raw", 4);
    struct frame frame;

    (void)state;
    assert_int_equal(frame_next(&codec, NULL, 0, &frame), FRAME_MORE);
    assert_int_equal(frame.needed, 1);
    assert_int_equal(frame_next(&codec, (const uint8_t *)"abcdef", 6, &frame), FRAME_READY);
    assert_int_equal(frame.consumed, 4);
    assert_int_equal(frame.body.size, 4);
    assert_int_equal(frame_next(&codec, (const uint8_t *)"ef", 2, &frame), FRAME_READY);
    assert_int_equal(frame.consumed, 2);
}

static void frame_encode_refuses_what_cannot_be_said(void **state)
{
    static const uint8_t zeros[101] = {0};
    struct frame_wire wire = {.head_size = 77};
    struct frame_codec codec;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(preset_names); i++) {
        codec = parse(preset_names[i], 100);
        assert_int_equal(frame_encode(&codec, (struct bytes){zeros, 101}, &wire), -EMSGSIZE);
        assert_int_equal(frame_encode(&codec, (struct bytes){zeros, SIZE_MAX}, &wire), -EMSGSIZE);
        if (codec.payload_min > 0)
            assert_int_equal(
                frame_encode(&codec, (struct bytes){zeros, codec.payload_min - 1}, &wire),
                -EMSGSIZE);
    }
    codec = parse("line", 100);
    assert_int_equal(frame_encode(&codec, (struct bytes){(const uint8_t *)"a\nb", 3}, &wire),
                     -EINVAL);
    assert_int_equal(frame_encode(&codec, (struct bytes){(const uint8_t *)"a\r", 2}, &wire),
                     -EINVAL);
    assert_int_equal(wire.head_size, 77);
    assert_int_equal(frame_encode(&codec, (struct bytes){NULL, 0}, &wire), 0);
    assert_int_equal(wire.head_size + wire.body.size, 0);
    assert_memory_equal(wire.tail.data, "\r\n", 2);
}

// The payloads of a stream one after another; those of raw have no ends, so they carry no size.
static void payload_append(struct buffer *to, const struct frame_codec *codec,
                           const struct bytes *prefix, const struct bytes *body)
{
    uint32_t size = (uint32_t)(prefix->size + body->size);

    if (codec->kind != FRAME_RAW)
        assert_int_equal(buffer_append(to, &size, sizeof(size)), 0);
    assert_int_equal(buffer_append(to, prefix->data, prefix->size), 0);
    assert_int_equal(buffer_append(to, body->data, body->size), 0);
}

// Encodes some random payloads; said gets what payload_append() makes of them.
static void random_stream(const struct frame_codec *codec, struct buffer *stream,
                          struct buffer *said)
{
    uint8_t payload[512];

    while (buffer_size(stream) < STREAM_MAX && random_below(20) > 0) {
        uint32_t range = codec->payload_max - codec->payload_min + 1;
        uint32_t size = codec->payload_min + random_below(range < 400 ? range : 400);
        struct frame_wire wire;

        for (uint32_t i = 0; i < size; i++) {
            payload[i] = (uint8_t)random_below(256);
            if (codec->kind == FRAME_LINE && (payload[i] == '\n' || payload[i] == '\r'))
                payload[i] = ' ';
        }
        assert_int_equal(frame_encode(codec, (struct bytes){payload, size}, &wire), 0);
        wire_append(stream, &wire);
        payload_append(said, codec, &(struct bytes){0}, &(struct bytes){payload, size});
    }
}

// Takes all frames off the inbox, the way a session does.
static void take_frames(const struct frame_codec *codec, struct buffer *inbox, struct buffer *heard)
{
    struct frame frame;
    enum frame_result result;

    for (;;) {
        result = frame_next(codec, buffer_data(inbox), buffer_size(inbox), &frame);
        if (result != FRAME_READY)
            break;
        assert_in_range(frame.consumed, 1, buffer_size(inbox));
        payload_append(heard, codec, &frame.prefix, &frame.body);
        buffer_consume(inbox, frame.consumed);
    }
    assert_int_equal(result, FRAME_MORE);
    assert_true(frame.needed == 0 || frame.needed > buffer_size(inbox));
}

static void frame_any_split_gives_the_same_payloads(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct buffer stream = {0}, said = {0}, inbox = {0}, heard = {0};
        struct frame_codec codec;
        uint32_t piece_max;

        random_state = seed;
        codec = random_codec();
        random_stream(&codec, &stream, &said);
        piece_max = random_below(3) == 0 ? 1 : 1 + random_below(700);
        while (buffer_size(&stream) > 0) {
            size_t piece = 1 + random_below(piece_max);

            if (piece > buffer_size(&stream))
                piece = buffer_size(&stream);
            assert_int_equal(buffer_append(&inbox, buffer_data(&stream), piece), 0);
            buffer_consume(&stream, piece);
            take_frames(&codec, &inbox, &heard);
        }
        if (buffer_size(&inbox) != 0 || buffer_size(&heard) != buffer_size(&said) ||
            (buffer_size(&said) > 0 &&
             memcmp(buffer_data(&heard), buffer_data(&said), buffer_size(&said)) != 0))
            fail_msg("seed %u: other payloads came out", (unsigned)seed);
        buffer_free(&stream);
        buffer_free(&said);
        buffer_free(&inbox);
        buffer_free(&heard);
    }
}

// A decision stands: more bytes behind it change nothing, and none comes before it is certain.
static void frame_random_bytes_get_one_answer_at_every_size(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        uint8_t *bytes = malloc(64); // on the heap, so that sanitizers see every byte past it
        struct frame_codec codec;
        struct frame whole, part;
        enum frame_result result;
        size_t decided = 0;

        assert_non_null(bytes);
        random_state = seed;
        codec = random_codec();
        for (size_t i = 0; i < 64; i++)
            bytes[i] = (uint8_t)(random_below(3) == 0 ? random_below(256) : random_below(24));
        result = frame_next(&codec, bytes, 64, &whole);
        for (size_t size = 0; codec.kind != FRAME_RAW && size <= 64; size++) {
            enum frame_result now = frame_next(&codec, bytes, size, &part);

            if (now == FRAME_MORE && decided == 0)
                continue;
            decided = size;
            if (now != result || part.consumed != whole.consumed || part.error != whole.error ||
                part.body.data != whole.body.data || part.body.size != whole.body.size)
                fail_msg("seed %u: another answer at %u bytes", (unsigned)seed, (unsigned)size);
            if (now == FRAME_READY)
                assert_in_range(part.consumed, 1, size);
        }
        free(bytes);
    }
}

static void frame_errors_have_texts(void **state)
{
    (void)state;
    assert_string_equal(frame_error_text(FRAME_ERROR_NONE), "no error");
    assert_string_equal(frame_error_text(FRAME_ERROR_TOO_SHORT), "frame too short");
    assert_string_equal(frame_error_text(FRAME_ERROR_TOO_LONG), "frame too long");
    assert_non_null(frame_error_text((enum frame_error)99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_presets_mean_what_clients_speak),
        cmocka_unit_test(frame_maximum_is_what_the_field_can_say),
        cmocka_unit_test(frame_wrong_description_is_refused_with_why),
        cmocka_unit_test(frame_every_length_is_judged_once_it_is_there),
        cmocka_unit_test(frame_size_zero_ends_the_loop),
        cmocka_unit_test(frame_empty_payload_still_takes_its_length_field),
        cmocka_unit_test(frame_prefix_and_body_are_two_slices),
        cmocka_unit_test(frame_line_ends_with_lf_or_cr_lf),
        cmocka_unit_test(frame_raw_is_what_came_up_to_the_maximum),
        cmocka_unit_test(frame_encode_refuses_what_cannot_be_said),
        cmocka_unit_test(frame_any_split_gives_the_same_payloads),
        cmocka_unit_test(frame_random_bytes_get_one_answer_at_every_size),
        cmocka_unit_test(frame_errors_have_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
