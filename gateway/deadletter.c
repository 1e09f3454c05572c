#include "deadletter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "os.h"

enum {
    TIME_SIZE = 24,
    KIND_MAX = 15,
    HEAD_MAX = 2048, // more than a record without its payload
};

// Each "0" is a digit.
static const char time_form[] = "0000-00-00T00:00:00.000Z";

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool time_is_good(struct bytes time)
{
    if (time.size != TIME_SIZE)
        return false;
    for (size_t i = 0; i < TIME_SIZE; i++) {
        if (time_form[i] == '0' ? !is_digit(time.data[i]) : time.data[i] != (uint8_t)time_form[i])
            return false;
    }
    return true;
}

static bool kind_is_good(struct bytes kind)
{
    if (kind.size == 0 || kind.size > KIND_MAX)
        return false;
    for (size_t i = 0; i < kind.size; i++) {
        if (kind.data[i] < 'a' || kind.data[i] > 'z')
            return false;
    }
    return true;
}

// Writes name="text". At most as many bytes of the text come out as DEADLETTER_TEXT_MAX, not
// counting what quotes it.
static char *text_write(char *at, const char *name, struct bytes text)
{
    size_t written = 0;

    at += sprintf(at, " %s=\"", name);
    while (text.size > 0) {
        size_t length = text_printable((const char *)text.data, text.size);
        const void *from = length == 0 ? (const void *)"?" : text.data;
        size_t taken = length == 0 ? 1 : length;

        written += taken;
        if (written > DEADLETTER_TEXT_MAX)
            break;
        if (length == 1 && (*text.data == '"' || *text.data == '\\'))
            *at++ = '\\';
        memcpy(at, from, taken);
        at += taken;
        text.data += taken;
        text.size -= taken;
    }
    *at++ = '"';
    return at;
}

static size_t head_write(char head[HEAD_MAX], const struct deadletter *letter)
{
    char *at = head;

    at += sprintf(at, "1 %.*s session=%" PRIu64 " sequence=%" PRIu64 " kind=%.*s size=%" PRIu64,
                  (int)letter->time.size, (const char *)letter->time.data, letter->session,
                  letter->sequence, (int)letter->kind.size, (const char *)letter->kind.data,
                  letter->size);
    at = text_write(at, "app", letter->app);
    at = text_write(at, "peer", letter->peer);
    at = text_write(at, "why", letter->why);
    at += sprintf(at, " payload=");
    return (size_t)(at - head);
}

static uint8_t *hex_write(uint8_t *at, struct bytes bytes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.size; i++) {
        *at++ = (uint8_t)digits[bytes.data[i] >> 4];
        *at++ = (uint8_t)digits[bytes.data[i] & 15];
    }
    return at;
}

int deadletter_encode(struct buffer *to, const struct deadletter *letter, size_t line_max)
{
    struct bytes prefix = letter->prefix;
    struct bytes payload = letter->payload;
    char head[HEAD_MAX];
    size_t head_size, room;
    uint8_t *line, *at;

    if (!time_is_good(letter->time) || !kind_is_good(letter->kind) || letter->size < payload.size ||
        letter->size - payload.size < prefix.size)
        return -EINVAL;
    head_size = head_write(head, letter);
    if (line_max < head_size + 1)
        return -EMSGSIZE;
    room = (line_max - head_size - 1) / 2;
    if (prefix.size > room)
        prefix.size = room;
    if (payload.size > room - prefix.size)
        payload.size = room - prefix.size;
    line = buffer_reserve(to, head_size + 2 * (prefix.size + payload.size) + 1);
    if (line == NULL)
        return -ENOMEM;
    memcpy(line, head, head_size);
    at = hex_write(hex_write(line + head_size, prefix), payload);
    *at++ = '\n';
    buffer_commit(to, (size_t)(at - line));
    return 0;
}

// What is left of a line.
struct cursor {
    uint8_t *at;
    uint8_t *end;
};

static bool take_word(struct cursor *cursor, const char *word)
{
    size_t size = strlen(word);

    if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, word, size) != 0)
        return false;
    cursor->at += size;
    return true;
}

// What stands before the next blank.
static struct bytes take_token(struct cursor *cursor)
{
    struct bytes token = {cursor->at, 0};

    while (cursor->at < cursor->end && *cursor->at != ' ')
        cursor->at++;
    token.size = (size_t)(cursor->at - token.data);
    return token;
}

// Decimal, without a leading zero.
static bool take_number(struct cursor *cursor, uint64_t *out_number)
{
    struct bytes token = take_token(cursor);
    uint64_t number = 0;

    if (token.size == 0 || (token.data[0] == '0' && token.size > 1))
        return false;
    for (size_t i = 0; i < token.size; i++) {
        uint64_t digit = (uint64_t)token.data[i] - '0';

        if (!is_digit(token.data[i]) || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out_number = number;
    return true;
}

// The text in quotes; its quoting is taken out in place.
static bool take_text(struct cursor *cursor, struct bytes *out_text)
{
    uint8_t *to = cursor->at;

    *out_text = (struct bytes){cursor->at, 0};
    for (;;) {
        size_t length =
            text_printable((const char *)cursor->at, (size_t)(cursor->end - cursor->at));

        if (length == 0)
            return false;
        if (*cursor->at == '"')
            break;
        if (*cursor->at == '\\') {
            cursor->at++;
            if (cursor->at == cursor->end || (*cursor->at != '"' && *cursor->at != '\\'))
                return false;
        }
        memmove(to, cursor->at, length);
        to += length;
        cursor->at += length;
    }
    cursor->at++;
    out_text->size = (size_t)(to - out_text->data);
    return out_text->size <= DEADLETTER_TEXT_MAX;
}

static int hex_value(uint8_t digit)
{
    if (is_digit(digit))
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

// The rest of the line; decoded in place.
static bool take_hex(struct cursor *cursor, struct bytes *out_bytes)
{
    uint8_t *to = cursor->at;
    size_t size = (size_t)(cursor->end - cursor->at);

    *out_bytes = (struct bytes){to, size / 2};
    if (size % 2 != 0)
        return false;
    for (; cursor->at < cursor->end; cursor->at += 2) {
        int high = hex_value(cursor->at[0]);
        int low = hex_value(cursor->at[1]);

        if (high < 0 || low < 0)
            return false;
        *to++ = (uint8_t)(high << 4 | low);
    }
    return true;
}

// NULL, or what is wrong with the line.
static const char *letter_decode(struct cursor line, struct deadletter *letter)
{
    if (!take_word(&line, "1 "))
        return "it does not begin like a record";
    letter->time = take_token(&line);
    if (!time_is_good(letter->time))
        return "its time is wrong";
    if (!take_word(&line, " session=") || !take_number(&line, &letter->session))
        return "its session is wrong";
    if (!take_word(&line, " sequence=") || !take_number(&line, &letter->sequence))
        return "its sequence is wrong";
    if (!take_word(&line, " kind="))
        return "its kind is wrong";
    letter->kind = take_token(&line);
    if (!kind_is_good(letter->kind))
        return "its kind is wrong";
    if (!take_word(&line, " size=") || !take_number(&line, &letter->size))
        return "its size is wrong";
    if (!take_word(&line, " app=\"") || !take_text(&line, &letter->app))
        return "its app is wrong";
    if (!take_word(&line, " peer=\"") || !take_text(&line, &letter->peer))
        return "its peer is wrong";
    if (!take_word(&line, " why=\"") || !take_text(&line, &letter->why))
        return "its reason is wrong";
    if (!take_word(&line, " payload=") || !take_hex(&line, &letter->payload) ||
        letter->payload.size > letter->size)
        return "its payload is wrong";
    return NULL;
}

void deadletter_reader_init(struct deadletter_reader *reader, uint8_t *data, size_t size)
{
    *reader = (struct deadletter_reader){.at = data, .left = size};
}

enum deadletter_result deadletter_next(struct deadletter_reader *reader,
                                       struct deadletter *out_letter)
{
    struct deadletter letter = {0};
    struct cursor line = {reader->at, NULL};

    if (reader->left == 0)
        return DEADLETTER_END;
    reader->line++;
    line.end = memchr(reader->at, '\n', reader->left);
    if (line.end == NULL) {
        reader->left = 0;
        reader->why = "it has no end";
        return DEADLETTER_DAMAGED;
    }
    reader->left -= (size_t)(line.end - line.at) + 1;
    reader->at = line.end + 1;
    reader->why = letter_decode(line, &letter);
    if (reader->why != NULL)
        return DEADLETTER_DAMAGED;
    *out_letter = letter;
    return DEADLETTER_READY;
}

int deadletter_path(char *out, size_t room, const char *runtime_dir, const char *node)
{
    int size = snprintf(out, room, "%s/%s.deadletters", runtime_dir, node);

    return size < 0 || (size_t)size >= room ? -ENAMETOOLONG : 0;
}

static void box_failed(struct deadletter_box *box, int error)
{
    box->missed++;
    if (box->is_failing)
        return;
    box->is_failing = true;
    if (error == -EFBIG)
        log_warn("deadletter",
                 "'%s' has no room for another (gateway.deadletter_max_bytes is %" PRIu64
                 "): inputs that end workers are not kept until it is moved away",
                 box->path, box->file_max);
    else
        log_error("deadletter", "'%s' cannot be written: %s: inputs that end workers are not kept",
                  box->path, error_text(error));
}

bool deadletter_keep(struct deadletter_box *box, const struct deadletter *letter)
{
    struct buffer line = {0};
    size_t line_max =
        box->file_max < DEADLETTER_LINE_MAX ? (size_t)box->file_max : DEADLETTER_LINE_MAX;
    int error;

    if (box->file_max == 0)
        return false;
    error = deadletter_encode(&line, letter, line_max);
    if (error == -EMSGSIZE)
        error = -EFBIG;
    if (error == 0)
        error = os_file_append(box->path, buffer_data(&line), buffer_size(&line), box->file_max);
    buffer_free(&line);
    if (error != 0) {
        box_failed(box, error);
        return false;
    }
    if (box->is_failing)
        log_info("deadletter", "'%s' is written again; %" PRIu64 " inputs were not kept", box->path,
                 box->missed);
    box->is_failing = false;
    box->kept++;
    return true;
}
