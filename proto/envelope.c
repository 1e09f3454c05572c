#include "envelope.h"

#include <string.h>

#include <msgpack.h>

enum {
    FIELD_COUNT_MAX = 7,
    TOKEN_MAX = 64,
    WIRE_NUMBER_MAX = 9, // bytes of an integer: its type and 8
    WIRE_HEAD_MAX = 5,   // bytes before a string or binary: its type and 4
    WIRE_FRONT = 2,      // bytes of the array's head and the kind
    // FRAME and RESTORE: four numbers and the payload's head.
    WIRE_FRAME_OVERHEAD = WIRE_FRONT + 4 * WIRE_NUMBER_MAX + WIRE_HEAD_MAX,
    // The longest with a payload is PUBLISH: a group, a number and the payload's head.
    WIRE_PUBLISH_OVERHEAD = WIRE_FRONT + WIRE_NUMBER_MAX + 2 * WIRE_HEAD_MAX + ENVELOPE_GROUP_MAX,
    // The longest of all others is HELLO: three numbers, a token and three texts.
    WIRE_HELLO_MAX =
        WIRE_FRONT + 3 * WIRE_NUMBER_MAX + 4 * WIRE_HEAD_MAX + TOKEN_MAX + 3 * ENVELOPE_TEXT_MAX,
    PAYLOAD_MAX = ENVELOPE_BATCH_MAX - WIRE_FRAME_OVERHEAD,
    PUBLISHED_MAX = ENVELOPE_BATCH_MAX - WIRE_PUBLISH_OVERHEAD,
    ZONE_BYTES = 1024, // more than the objects of one envelope take: never a second chunk
};

enum field_type {
    FIELD_U32,
    FIELD_U64,
    FIELD_TEXT,    // string, printable UTF-8
    FIELD_BINARY,  // binary
    FIELD_PAYLOAD, // binary; prefix and payload in one when encoding
};

struct field {
    enum field_type type;
    size_t offset; // in struct envelope
    uint64_t min;  // of the number, or of the bytes
    uint64_t max;
};

// clang-format off
enum field_name {
    SESSION, EPOCH, SEQUENCE, NOW, SEED, EFFECTS, VERSION, STATE_VERSION, WORKER, PROCESS_ID,
    SHARD, SHARDS, FRAME_MAX, SERIAL, TAG, AFTER, EVERY, TOKEN, TEXT, TEXT2, TYPES, GROUP,
    PAYLOAD, PUBLISHED
};

// The whole protocol stands in these two tables; encoding and decoding follow them.
static const struct field fields[] = {
    [SESSION]    = {FIELD_U64, offsetof(struct envelope, session), 0, UINT64_MAX},
    [EPOCH]      = {FIELD_U32, offsetof(struct envelope, epoch), 0, UINT32_MAX},
    [SEQUENCE]   = {FIELD_U64, offsetof(struct envelope, sequence), 0, UINT64_MAX},
    [NOW]        = {FIELD_U64, offsetof(struct envelope, now_ms), 0, UINT64_MAX},
    [SEED]       = {FIELD_U64, offsetof(struct envelope, seed), 0, UINT64_MAX},
    [STATE_VERSION] = {FIELD_U32, offsetof(struct envelope, state_version), 0, UINT32_MAX},
    [EFFECTS]    = {FIELD_U32, offsetof(struct envelope, effects), 0, ENVELOPE_EFFECTS_MAX},
    [VERSION]    = {FIELD_U32, offsetof(struct envelope, version), 0, UINT32_MAX},
    [WORKER]     = {FIELD_U32, offsetof(struct envelope, worker), 0, UINT32_MAX},
    [PROCESS_ID] = {FIELD_U64, offsetof(struct envelope, process_id), 0, UINT64_MAX},
    [SHARD]      = {FIELD_U32, offsetof(struct envelope, shard), 0, UINT32_MAX},
    [SHARDS]     = {FIELD_U32, offsetof(struct envelope, shards), 1, UINT32_MAX},
    [FRAME_MAX]  = {FIELD_U32, offsetof(struct envelope, frame_max), 1, PAYLOAD_MAX},
    [SERIAL]     = {FIELD_U64, offsetof(struct envelope, serial), 0, UINT64_MAX},
    [TAG]        = {FIELD_U64, offsetof(struct envelope, tag), 0, UINT64_MAX},
    [AFTER]      = {FIELD_U32, offsetof(struct envelope, after_ms), 0, UINT32_MAX},
    [EVERY]      = {FIELD_U32, offsetof(struct envelope, every_ms), 0, UINT32_MAX},
    [TOKEN]      = {FIELD_BINARY, offsetof(struct envelope, token), 0, TOKEN_MAX},
    [TEXT]       = {FIELD_TEXT, offsetof(struct envelope, text), 0, ENVELOPE_TEXT_MAX},
    [TEXT2]      = {FIELD_TEXT, offsetof(struct envelope, text2), 0, ENVELOPE_TEXT_MAX},
    [TYPES]      = {FIELD_TEXT, offsetof(struct envelope, types), 0, ENVELOPE_TEXT_MAX},
    [GROUP]      = {FIELD_TEXT, offsetof(struct envelope, text), 1, ENVELOPE_GROUP_MAX},
    [PAYLOAD]    = {FIELD_PAYLOAD, offsetof(struct envelope, payload), 0, PAYLOAD_MAX},
    [PUBLISHED]  = {FIELD_PAYLOAD, offsetof(struct envelope, payload), 0, PUBLISHED_MAX},
};

static const struct form {
    const char *name; // NULL: no such kind
    enum envelope_side side;
    bool is_effect;
    uint8_t field_count;
    enum field_name fields[FIELD_COUNT_MAX];
} forms[] = {
    [ENVELOPE_HELLO]   = {"hello",   ENVELOPE_FROM_WORKER,  false, 7,
                          {VERSION, TOKEN, WORKER, PROCESS_ID, TEXT, TEXT2, TYPES}},
    [ENVELOPE_COMMIT]  = {"commit",  ENVELOPE_FROM_WORKER,  false, 4,
                          {SESSION, EPOCH, SEQUENCE, EFFECTS}},
    [ENVELOPE_REPLY]   = {"reply",   ENVELOPE_FROM_WORKER,  true,  1, {PAYLOAD}},
    [ENVELOPE_END]     = {"end",     ENVELOPE_FROM_WORKER,  true,  0, {0}},
    [ENVELOPE_PONG]    = {"pong",    ENVELOPE_FROM_WORKER,  false, 1, {SERIAL}},
    [ENVELOPE_LEAVING] = {"leaving", ENVELOPE_FROM_WORKER,  false, 0, {0}},
    [ENVELOPE_STATE]   = {"state",   ENVELOPE_FROM_WORKER,  true,  2, {STATE_VERSION, PAYLOAD}},
    [ENVELOPE_SEND]    = {"send",    ENVELOPE_FROM_WORKER,  true,  2, {SESSION, PAYLOAD}},
    [ENVELOPE_JOIN]    = {"join",    ENVELOPE_FROM_WORKER,  true,  1, {GROUP}},
    [ENVELOPE_LEAVE]   = {"leave",   ENVELOPE_FROM_WORKER,  true,  1, {GROUP}},
    [ENVELOPE_PUBLISH] = {"publish", ENVELOPE_FROM_WORKER,  true,  3, {GROUP, SESSION, PUBLISHED}},
    [ENVELOPE_TIMER]   = {"timer",   ENVELOPE_FROM_WORKER,  true,  3, {TAG, AFTER, EVERY}},
    [ENVELOPE_CANCEL]  = {"cancel",  ENVELOPE_FROM_WORKER,  true,  1, {TAG}},
    [ENVELOPE_WELCOME] = {"welcome", ENVELOPE_FROM_GATEWAY, false, 5,
                          {VERSION, SHARD, SHARDS, FRAME_MAX, SEED}},
    [ENVELOPE_REFUSED] = {"refused", ENVELOPE_FROM_GATEWAY, false, 1, {TEXT}},
    [ENVELOPE_OPEN]    = {"open",    ENVELOPE_FROM_GATEWAY, false, 5,
                          {SESSION, EPOCH, SEQUENCE, NOW, TEXT}},
    [ENVELOPE_FRAME]   = {"frame",   ENVELOPE_FROM_GATEWAY, false, 5,
                          {SESSION, EPOCH, SEQUENCE, NOW, PAYLOAD}},
    [ENVELOPE_CLOSE]   = {"close",   ENVELOPE_FROM_GATEWAY, false, 5,
                          {SESSION, EPOCH, SEQUENCE, NOW, TEXT}},
    [ENVELOPE_PING]    = {"ping",    ENVELOPE_FROM_GATEWAY, false, 1, {SERIAL}},
    [ENVELOPE_DRAIN]   = {"drain",   ENVELOPE_FROM_GATEWAY, false, 0, {0}},
    [ENVELOPE_FIRED]   = {"fired",   ENVELOPE_FROM_GATEWAY, false, 5,
                          {SESSION, EPOCH, SEQUENCE, NOW, TAG}},
    [ENVELOPE_RESTORE] = {"restore", ENVELOPE_FROM_GATEWAY, false, 5,
                          {SESSION, EPOCH, SEQUENCE, STATE_VERSION, PAYLOAD}},
};
// clang-format on

// Where an envelope is written: room for all of it was made before.
struct writer {
    uint8_t *at;
    size_t room;
};

static const struct form *form_of(uint64_t kind)
{
    return kind < ARRAY_COUNT(forms) && forms[kind].name != NULL ? &forms[kind] : NULL;
}

static bool text_is_printable(struct bytes text)
{
    size_t at = 0;

    while (at < text.size) {
        bool is_plain = text.data[at] >= ' ' && text.data[at] <= '~';
        size_t taken = is_plain ? 1 : text_printable((const char *)text.data + at, text.size - at);

        if (taken == 0)
            return false;
        at += taken;
    }
    return true;
}

static uint64_t field_number(const struct field *field, const struct envelope *envelope)
{
    const void *at = (const uint8_t *)envelope + field->offset;

    return field->type == FIELD_U32 ? *(const uint32_t *)at : *(const uint64_t *)at;
}

static const struct bytes *field_bytes(const struct field *field, const struct envelope *envelope)
{
    return (const void *)((const uint8_t *)envelope + field->offset);
}

// Most bytes that the field takes on the wire; 0 when it is out of its range.
static size_t field_room(const struct field *field, const struct envelope *envelope)
{
    const struct bytes *bytes;
    uint64_t number;

    if (field->type == FIELD_U32 || field->type == FIELD_U64) {
        number = field_number(field, envelope);
        return number >= field->min && number <= field->max ? WIRE_NUMBER_MAX : 0;
    }
    bytes = field_bytes(field, envelope);
    if (bytes->size < field->min || bytes->size > field->max)
        return 0;
    if (field->type == FIELD_TEXT && !text_is_printable(*bytes))
        return 0;
    if (field->type != FIELD_PAYLOAD)
        return WIRE_HEAD_MAX + bytes->size;
    if (envelope->prefix.size > field->max - bytes->size)
        return 0;
    return WIRE_HEAD_MAX + envelope->prefix.size + bytes->size;
}

// msgpack's write callback. The room was counted before, so it is there.
static int writer_write(void *context, const char *data, size_t size)
{
    struct writer *writer = context;

    CHECK(size <= writer->room);
    memcpy(writer->at, data, size);
    writer->at += size;
    writer->room -= size;
    return 0;
}

static void pack_binary_body(msgpack_packer *packer, struct bytes bytes)
{
    if (bytes.size > 0)
        msgpack_pack_bin_body(packer, bytes.data, bytes.size);
}

static void field_pack(const struct field *field, const struct envelope *envelope,
                       msgpack_packer *packer)
{
    const struct bytes *bytes;

    switch (field->type) {
    case FIELD_U32:
    case FIELD_U64:
        msgpack_pack_uint64(packer, field_number(field, envelope)); // in as few bytes as it needs
        break;
    case FIELD_TEXT:
        bytes = field_bytes(field, envelope);
        msgpack_pack_str(packer, bytes->size);
        if (bytes->size > 0)
            msgpack_pack_str_body(packer, bytes->data, bytes->size);
        break;
    case FIELD_BINARY:
        bytes = field_bytes(field, envelope);
        msgpack_pack_bin(packer, bytes->size);
        pack_binary_body(packer, *bytes);
        break;
    case FIELD_PAYLOAD:
        bytes = field_bytes(field, envelope);
        msgpack_pack_bin(packer, envelope->prefix.size + bytes->size);
        pack_binary_body(packer, envelope->prefix);
        pack_binary_body(packer, *bytes);
        break;
    }
}

static uint32_t number_read(const uint8_t *at, size_t width)
{
    uint32_t number = 0;

    for (size_t i = 0; i < width; i++)
        number = number << 8 | at[i];
    return number;
}

// Bytes of a string's or binary's length, which follows its type; 0 when there is none.
static size_t scan_length_width(uint8_t type)
{
    if (type >= 0xC4 && type <= 0xC6) // bin 8, 16, 32
        return (size_t)1 << (type - 0xC4);
    if (type >= 0xD9 && type <= 0xDB) // str 8, 16, 32
        return (size_t)1 << (type - 0xD9);
    return 0;
}

// Bytes of the value at the front of rest; 0 when it is not wholly there, or neither an unsigned
// integer nor a string nor a binary.
static size_t scan_value(struct bytes rest)
{
    uint8_t type;
    size_t width;
    size_t size;
    uint32_t length = 0;

    if (rest.size == 0)
        return 0;
    type = rest.data[0];
    width = scan_length_width(type);
    size = 1 + width;
    if (width > 0 && size <= rest.size)
        length = number_read(rest.data + 1, width);
    else if (type >= 0xA0 && type <= 0xBF) // fixstr
        length = type & 0x1F;
    else if (type >= 0xCC && type <= 0xCF) // uint 8, 16, 32, 64
        length = (uint32_t)1 << (type - 0xCC);
    else if (type > 0x7F) // not a positive fixint either
        return 0;
    return length <= rest.size - size ? size + length : 0;
}

// Bytes of the envelope at the front of rest, which is not empty; 0 with why when it is none.
//
// Nothing reaches msgpack-c that has not passed here: it allocates what an array's head promises,
// so that five bytes may ask for 96 GiB, and it has no limit to set against that
// (https://github.com/msgpack/msgpack-c/issues/985 and /1013).
static size_t scan_envelope(struct bytes rest, const char **out_why)
{
    uint8_t count = rest.data[0] & 0x0F;
    size_t size = 1;

    if ((rest.data[0] & 0xF0) != 0x90 || count == 0) {
        *out_why = "an envelope must be an array of 1 to 15 values";
        return 0;
    }
    for (uint8_t i = 0; i < count; i++) {
        size_t value = scan_value((struct bytes){rest.data + size, rest.size - size});

        if (value == 0) {
            *out_why = "a value is cut short or of a type that no field has";
            return 0;
        }
        size += value;
    }
    return size;
}

static const char *field_take_number(const struct field *field, uint64_t number,
                                     struct envelope *envelope)
{
    void *at = (uint8_t *)envelope + field->offset;

    if (number < field->min || number > field->max)
        return "a number is out of its range";
    if (field->type == FIELD_U32)
        *(uint32_t *)at = (uint32_t)number;
    else
        *(uint64_t *)at = number;
    return NULL;
}

static const char *field_take_bytes(const struct field *field, const char *data, size_t size,
                                    struct envelope *envelope)
{
    void *at = (uint8_t *)envelope + field->offset;
    struct bytes bytes = {(const uint8_t *)data, size};

    if (size < field->min || size > field->max)
        return "a text or binary is too long";
    if (field->type == FIELD_TEXT && !text_is_printable(bytes))
        return "a text is not printable";
    *(struct bytes *)at = bytes;
    return NULL;
}

// NULL, or what is wrong. Slices point into what was decoded: msgpack_unpack() copies none.
static const char *field_take(const struct field *field, const msgpack_object *value,
                              struct envelope *envelope)
{
    switch (field->type) {
    case FIELD_U32:
    case FIELD_U64:
        if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
            return "a field that must be a number is none";
        return field_take_number(field, value->via.u64, envelope);
    case FIELD_TEXT:
        if (value->type != MSGPACK_OBJECT_STR)
            return "a field that must be a string is none";
        return field_take_bytes(field, value->via.str.ptr, value->via.str.size, envelope);
    default:
        if (value->type != MSGPACK_OBJECT_BIN)
            return "a field that must be a binary is none";
        return field_take_bytes(field, value->via.bin.ptr, value->via.bin.size, envelope);
    }
}

// NULL, or what is wrong.
static const char *envelope_fill(const msgpack_object_array *values, enum envelope_side side,
                                 struct envelope *envelope, const struct form **out_form)
{
    const msgpack_object *kind = &values->ptr[0];
    const struct form *form;

    if (kind->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return "an envelope's kind must be a number";
    form = form_of(kind->via.u64);
    if (form == NULL)
        return "no envelope is of this kind";
    if (form->side != side)
        return "an envelope of the other side's kinds";
    if (values->size != 1U + form->field_count)
        return "an envelope has too few or too many fields for its kind";
    envelope->kind = (enum envelope_kind)kind->via.u64;
    for (uint32_t i = 0; i < form->field_count; i++) {
        const char *why = field_take(&fields[form->fields[i]], &values->ptr[1 + i], envelope);

        if (why != NULL)
            return why;
    }
    *out_form = form;
    return NULL;
}

// Decodes the scanned bytes. NULL, or what is wrong.
static const char *envelope_decode(struct envelope_reader *reader, struct bytes scanned,
                                   struct envelope *envelope, const struct form **out_form)
{
    msgpack_object object;
    size_t offset = 0;
    const char *why;

    if (msgpack_unpack((const char *)scanned.data, scanned.size, &offset, reader->zone, &object) !=
        MSGPACK_UNPACK_SUCCESS)
        why = "msgpack cannot decode an envelope";
    else
        why = envelope_fill(&object.via.array, reader->side, envelope, out_form);
    msgpack_zone_clear(reader->zone);
    return why;
}

// NULL, or what is wrong with this envelope at this place of the batch.
static const char *reader_count(struct envelope_reader *reader, const struct form *form,
                                const struct envelope *envelope)
{
    if (form->is_effect && reader->effects_due == 0)
        return "an effect without a commit that announced it";
    if (!form->is_effect && reader->effects_due > 0)
        return "a commit has fewer effects than it announced";
    if (form->is_effect)
        reader->effects_due--;
    else
        reader->effects_due = envelope->effects; // zero but for a commit
    return NULL;
}

static enum envelope_result reader_bad(struct envelope_reader *reader, const char *why)
{
    reader->why = why;
    reader->rest = (struct bytes){0};
    return ENVELOPE_BAD;
}

int envelope_encode(struct buffer *to, const struct envelope *envelope)
{
    const struct form *form = form_of((uint64_t)envelope->kind);
    size_t room = WIRE_FRONT;
    struct writer writer;
    msgpack_packer packer;

    if (form == NULL)
        return -EINVAL;
    for (uint32_t i = 0; i < form->field_count; i++) {
        size_t field = field_room(&fields[form->fields[i]], envelope);

        if (field == 0)
            return -EINVAL;
        room += field;
    }
    writer = (struct writer){.at = buffer_reserve(to, room), .room = room};
    if (writer.at == NULL)
        return -ENOMEM;
    msgpack_packer_init(&packer, &writer, writer_write);
    msgpack_pack_array(&packer, 1U + form->field_count);
    msgpack_pack_uint8(&packer, (uint8_t)envelope->kind);
    for (uint32_t i = 0; i < form->field_count; i++)
        field_pack(&fields[form->fields[i]], envelope, &packer);
    buffer_commit(to, room - writer.room); // only now: all of it or nothing
    return 0;
}

size_t envelope_size_max(size_t payload_size)
{
    if (payload_size > PAYLOAD_MAX)
        return ENVELOPE_BATCH_MAX; // no envelope carries that much
    return payload_size + WIRE_PUBLISH_OVERHEAD > WIRE_HELLO_MAX
               ? payload_size + WIRE_PUBLISH_OVERHEAD
               : WIRE_HELLO_MAX;
}

int envelope_reader_create(struct envelope_reader *reader, enum envelope_side side)
{
    void *zone = msgpack_zone_new(ZONE_BYTES);

    if (zone == NULL)
        return -ENOMEM;
    *reader = (struct envelope_reader){.side = side, .zone = zone};
    return 0;
}

void envelope_reader_destroy(struct envelope_reader *reader)
{
    if (reader->zone != NULL)
        msgpack_zone_free(reader->zone);
    *reader = (struct envelope_reader){0};
}

void envelope_reader_start(struct envelope_reader *reader, struct bytes body)
{
    reader->rest = body;
    reader->effects_due = 0;
    reader->why = NULL;
}

enum envelope_result envelope_next(struct envelope_reader *reader, struct envelope *out_envelope)
{
    struct envelope envelope = {0};
    const struct form *form = NULL;
    const char *why = NULL;
    size_t size;

    if (reader->why != NULL)
        return ENVELOPE_BAD;
    if (reader->rest.size == 0)
        return reader->effects_due == 0
                   ? ENVELOPE_END_OF_BATCH
                   : reader_bad(reader, "a batch ends before a commit's effects");
    size = scan_envelope(reader->rest, &why);
    if (size == 0)
        return reader_bad(reader, why);
    why = envelope_decode(reader, (struct bytes){reader->rest.data, size}, &envelope, &form);
    why = why != NULL ? why : reader_count(reader, form, &envelope);
    if (why != NULL)
        return reader_bad(reader, why);
    reader->rest.data += size;
    reader->rest.size -= size;
    *out_envelope = envelope;
    return ENVELOPE_READY;
}

const char *envelope_kind_text(enum envelope_kind kind)
{
    const struct form *form = form_of((uint64_t)kind);

    return form == NULL ? "?" : form->name;
}
