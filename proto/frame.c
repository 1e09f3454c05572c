#include "frame.h"

#include <string.h>

enum { LINE_END_MAX = 2 }; // CR LF

static const struct frame_preset {
    const char *name;
    struct frame_codec codec; // payload_max is filled in by the parser
} presets[] = {
    {"rookiss", {.kind = FRAME_LENGTH, .width = 2, .counts_frame = true, .payload_min = 2}},
    {"len16be", {.kind = FRAME_LENGTH, .width = 2, .big_endian = true, .payload_min = 1}},
    {"len32be", {.kind = FRAME_LENGTH, .width = 4, .big_endian = true, .payload_min = 1}},
    {"len32le", {.kind = FRAME_LENGTH, .width = 4, .payload_min = 1}},
    {"line", {.kind = FRAME_LINE}},
    {"raw", {.kind = FRAME_RAW, .payload_min = 1}},
};

// Keys of a description, in the order of description_set()'s cases.
enum description_key { KEY_OFFSET, KEY_WIDTH, KEY_ORDER, KEY_COUNTS, KEY_MIN, KEY_COUNT };

static const char *const description_keys[KEY_COUNT] = {"offset", "width", "order", "counts",
                                                        "min"};

// A piece of the description's text.
struct piece {
    const char *text;
    size_t size;
};

static bool piece_is(struct piece piece, const char *text)
{
    return piece.size == strlen(text) && memcmp(piece.text, text, piece.size) == 0;
}

// Cuts off what stands before the separator. Without one that is all, and the rest has no text.
static struct piece piece_cut(struct piece *rest, char separator)
{
    const char *at = memchr(rest->text, separator, rest->size);
    struct piece front = {rest->text, at == NULL ? rest->size : (size_t)(at - rest->text)};

    *rest =
        at == NULL ? (struct piece){NULL, 0} : (struct piece){at + 1, rest->size - front.size - 1};
    return front;
}

static bool piece_number(struct piece piece, uint32_t max, uint32_t *out_number)
{
    uint32_t number = 0;

    if (piece.size == 0 || piece.size > 8) // no limit has more digits
        return false;
    for (size_t i = 0; i < piece.size; i++) {
        if (piece.text[i] < '0' || piece.text[i] > '9')
            return false;
        number = number * 10 + (uint32_t)(piece.text[i] - '0');
    }
    if (number > max)
        return false;
    *out_number = number;
    return true;
}

// NULL, or what is wrong.
static const char *description_set(struct frame_codec *codec, enum description_key key,
                                   struct piece value)
{
    uint32_t number;

    switch (key) {
    case KEY_OFFSET:
        if (!piece_number(value, FRAME_OFFSET_MAX, &number))
            return "'offset' must be 0 to 16";
        codec->offset = (uint8_t)number;
        return NULL;
    case KEY_WIDTH:
        if (!piece_number(value, 4, &number) || number == 0)
            return "'width' must be 1, 2, 3 or 4";
        codec->width = (uint8_t)number;
        return NULL;
    case KEY_ORDER:
        codec->big_endian = piece_is(value, "big");
        return codec->big_endian || piece_is(value, "little") ? NULL
                                                              : "'order' must be big or little";
    case KEY_COUNTS:
        codec->counts_frame = piece_is(value, "frame");
        return codec->counts_frame || piece_is(value, "payload")
                   ? NULL
                   : "'counts' must be payload or frame";
    default:
        if (!piece_number(value, FRAME_PAYLOAD_MAX, &number))
            return "'min' must be 0 to 16777216";
        codec->payload_min = number;
        return NULL;
    }
}

// What follows "length:". NULL, or what is wrong.
static const char *description_parse(struct frame_codec *codec, const char *text)
{
    struct piece rest = {text, strlen(text)};
    bool seen[KEY_COUNT] = {false};

    *codec = (struct frame_codec){.kind = FRAME_LENGTH, .big_endian = true};
    while (rest.text != NULL) {
        struct piece value = piece_cut(&rest, ',');
        struct piece name = piece_cut(&value, '=');
        int key = 0;
        const char *why;

        while (key < KEY_COUNT && !piece_is(name, description_keys[key]))
            key++;
        if (key == KEY_COUNT)
            return "a length codec has offset, width, order, counts and min";
        if (seen[key])
            return "a key of the length codec stands twice";
        seen[key] = true;
        why = description_set(codec, (enum description_key)key, value);
        if (why != NULL)
            return why;
    }
    if (!seen[KEY_WIDTH])
        return "a length codec needs 'width'";
    // The prefix is payload too: less cannot be.
    if (codec->payload_min < codec->offset)
        codec->payload_min = codec->offset;
    return NULL;
}

// The largest payload whose length the field can say.
static uint64_t codec_capacity(const struct frame_codec *codec)
{
    uint64_t length_max = ((uint64_t)1 << (8 * codec->width)) - 1;

    return codec->counts_frame ? length_max - codec->width : length_max + codec->offset;
}

// NULL, or what is wrong.
static const char *codec_find(struct frame_codec *codec, const char *text)
{
    static const char description[] = "length:";

    if (strncmp(text, description, sizeof(description) - 1) == 0)
        return description_parse(codec, text + sizeof(description) - 1);
    for (size_t i = 0; i < ARRAY_COUNT(presets); i++) {
        if (strcmp(text, presets[i].name) == 0) {
            *codec = presets[i].codec;
            return NULL;
        }
    }
    return "it must be rookiss, len16be, len32be, len32le, line, raw or length:...";
}

static uint32_t length_read(const struct frame_codec *codec, const uint8_t *field)
{
    uint32_t length = 0;

    for (uint8_t i = 0; i < codec->width; i++)
        length = length << 8 | field[codec->big_endian ? i : codec->width - 1 - i];
    return length;
}

static void length_write(const struct frame_codec *codec, uint32_t length, uint8_t *field)
{
    for (uint8_t i = 0; i < codec->width; i++) {
        field[codec->big_endian ? codec->width - 1 - i : i] = (uint8_t)length;
        length >>= 8;
    }
}

static enum frame_result frame_bad(struct frame *out_frame, enum frame_error error)
{
    *out_frame = (struct frame){.error = error};
    return FRAME_BAD;
}

static enum frame_result frame_more(struct frame *out_frame, size_t needed)
{
    *out_frame = (struct frame){.needed = needed};
    return FRAME_MORE;
}

static enum frame_result length_next(const struct frame_codec *codec, const uint8_t *data,
                                     size_t size, struct frame *out_frame)
{
    size_t head = (size_t)codec->offset + codec->width;
    uint64_t payload; // 64 bits: a length near UINT32_MAX and a prefix must not wrap
    size_t whole;

    if (size < head)
        return frame_more(out_frame, head);
    payload = length_read(codec, data + codec->offset);
    if (!codec->counts_frame)
        payload += codec->offset;
    else if (payload < head)
        return frame_bad(out_frame, FRAME_ERROR_TOO_SHORT);
    else
        payload -= codec->width;
    if (payload < codec->payload_min)
        return frame_bad(out_frame, FRAME_ERROR_TOO_SHORT);
    if (payload > codec->payload_max)
        return frame_bad(out_frame, FRAME_ERROR_TOO_LONG);
    whole = (size_t)payload + codec->width;
    if (size < whole)
        return frame_more(out_frame, whole);
    *out_frame = (struct frame){
        .prefix = {data, codec->offset}, .body = {data + head, whole - head}, .consumed = whole};
    return FRAME_READY;
}

static enum frame_result line_next(const struct frame_codec *codec, const uint8_t *data,
                                   size_t size, struct frame *out_frame)
{
    size_t line_max = (size_t)codec->payload_max + LINE_END_MAX;
    size_t seen = size < line_max ? size : line_max;
    const uint8_t *end = seen == 0 ? NULL : memchr(data, '\n', seen);
    size_t line = end == NULL ? seen : (size_t)(end - data);

    // A CR at the end of what is there may yet be half of the line's end.
    if (line > 0 && data[line - 1] == '\r')
        line--;
    if (line > codec->payload_max)
        return frame_bad(out_frame, FRAME_ERROR_TOO_LONG);
    if (end == NULL)
        return frame_more(out_frame, 0);
    *out_frame = (struct frame){.body = {data, line}, .consumed = (size_t)(end - data) + 1};
    return FRAME_READY;
}

static enum frame_result raw_next(const struct frame_codec *codec, const uint8_t *data, size_t size,
                                  struct frame *out_frame)
{
    size_t taken = size < codec->payload_max ? size : codec->payload_max;

    if (size < codec->payload_min)
        return frame_more(out_frame, codec->payload_min);
    *out_frame = (struct frame){.body = {data, taken}, .consumed = taken};
    return FRAME_READY;
}

static void length_encode(const struct frame_codec *codec, struct bytes payload,
                          struct frame_wire *wire)
{
    uint32_t length = (uint32_t)payload.size; // the codec's maximum fits

    length = codec->counts_frame ? length + codec->width : length - codec->offset;
    if (codec->offset > 0)
        memcpy(wire->head, payload.data, codec->offset);
    length_write(codec, length, wire->head + codec->offset);
    wire->head_size = (size_t)codec->offset + codec->width;
    wire->body.size = payload.size - codec->offset;
    if (wire->body.size > 0)
        wire->body.data = payload.data + codec->offset;
}

int frame_codec_parse(struct frame_codec *out_codec, const char *text, uint32_t payload_max,
                      const char **out_why)
{
    struct frame_codec codec = {0};
    const char *why = codec_find(&codec, text);
    uint64_t capacity = FRAME_PAYLOAD_MAX;

    if (why == NULL) {
        if (codec.kind == FRAME_LENGTH && codec_capacity(&codec) < capacity)
            capacity = codec_capacity(&codec);
        codec.payload_max = payload_max < capacity ? payload_max : (uint32_t)capacity;
        if (codec.payload_max == 0)
            why = "the largest frame must have 1 byte at least";
        else if (codec.payload_max < codec.payload_min)
            why = "the largest frame is smaller than the smallest one of this codec";
    }
    if (why != NULL) {
        if (out_why != NULL)
            *out_why = why;
        return -EINVAL;
    }
    *out_codec = codec;
    return 0;
}

enum frame_result frame_next(const struct frame_codec *codec, const uint8_t *data, size_t size,
                             struct frame *out_frame)
{
    switch (codec->kind) {
    case FRAME_LENGTH:
        return length_next(codec, data, size, out_frame);
    case FRAME_LINE:
        return line_next(codec, data, size, out_frame);
    default:
        return raw_next(codec, data, size, out_frame);
    }
}

int frame_encode(const struct frame_codec *codec, struct bytes payload, struct frame_wire *out_wire)
{
    static const uint8_t line_end[LINE_END_MAX] = {'\r', '\n'};

    if (payload.size < codec->payload_min || payload.size > codec->payload_max)
        return -EMSGSIZE;
    if (codec->kind == FRAME_LINE && payload.size > 0 &&
        (memchr(payload.data, '\n', payload.size) != NULL ||
         memchr(payload.data, '\r', payload.size) != NULL))
        return -EINVAL;
    *out_wire = (struct frame_wire){.body = payload};
    if (codec->kind == FRAME_LENGTH)
        length_encode(codec, payload, out_wire);
    else if (codec->kind == FRAME_LINE)
        out_wire->tail = (struct bytes){line_end, sizeof(line_end)};
    return 0;
}

const char *frame_error_text(enum frame_error error)
{
    switch (error) {
    case FRAME_ERROR_NONE:
        return "no error";
    case FRAME_ERROR_TOO_SHORT:
        return "frame too short";
    case FRAME_ERROR_TOO_LONG:
        return "frame too long";
    }
    return "unknown frame error";
}
