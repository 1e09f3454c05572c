#include "config_keys.h"

#include <stdio.h>
#include <string.h>

enum {
    SECOND_MS = 1000,
    HOUR_MS = 3600 * SECOND_MS,
    WEEK_MS = 7 * 24 * HOUR_MS,
    NEAR_MAX = 3,      // most edits between a wrong key and the one that was meant
    FULL_NAME_MAX = 64 // room for "section.name" with its end
};

#define AT(member) .offset = offsetof(struct config, member)
#define TEXT_BYTES .max = CONFIG_TEXT_MAX - 1, .unit = "bytes"
#define FULL(key)  (key)->section, (key)->name

static const struct config_key table[] = {
    {"node", "name", CONFIG_NAME, AT(node.name), .min = 1, .max = 63, .unit = "",
     .standard = "local", .help = "name of this node: several may run on one host"},
    {"node", "runtime_dir", CONFIG_TEXT, AT(node.runtime_dir), .min = 0, TEXT_BYTES, .standard = "",
     .help = "private folder for sockets and locks; empty = one a user"},
    {"node", "log_file", CONFIG_TEXT, AT(node.log_file), .min = 0, TEXT_BYTES, .standard = "",
     .help = "file that log lines are appended to; empty = standard error"},
    {"node", "log_level", CONFIG_LEVEL, AT(node.log_level), .unit = "", .standard = "info",
     .help = "least level that is logged"},
    {"node", "stop_timeout_ms", CONFIG_NUMBER, AT(node.stop_timeout_ms), .min = 100, .max = HOUR_MS,
     .unit = "ms", .standard = "10000",
     .help = "how long an orderly stop may take before processes are killed"},
    {"gateway", "listen", CONFIG_ADDRESS, AT(gateway.listen), .unit = "",
     .standard = "127.0.0.1:7777", .help = "where clients connect; port 0 = any free one"},
    {"gateway", "frame", CONFIG_TEXT, AT(gateway.frame), .min = 1, TEXT_BYTES,
     .standard = "rookiss",
     .help = "framing of clients: rookiss, len16be, len32be, len32le, line, raw or length:..."},
    {"gateway", "shards", CONFIG_NUMBER_OR_AUTO, AT(gateway.shards), .min = 1, .max = 64,
     .unit = "", .standard = "1", .help = "gateway threads; auto = one for every four cores"},
    {"gateway", "accepts", CONFIG_NUMBER, AT(gateway.accepts), .min = 1, .max = 1024, .unit = "",
     .standard = "64", .help = "accept operations kept posted"},
    {"gateway", "max_sessions", CONFIG_NUMBER, AT(gateway.max_sessions), .min = 1, .max = 1000000,
     .unit = "", .standard = "10000", .help = "most clients at a time; more are refused"},
    {"gateway", "max_frame_bytes", CONFIG_NUMBER, AT(gateway.max_frame_bytes), .min = 1,
     .max = 16777216, .unit = "bytes", .standard = "65536",
     .help = "largest frame without its length field; a larger one closes the session"},
    {"gateway", "inbox_max_frames", CONFIG_NUMBER, AT(gateway.inbox_max_frames), .min = 1,
     .max = 65536, .unit = "", .standard = "256",
     .help = "unanswered frames of a session before its client has to wait"},
    {"gateway", "inbox_max_bytes", CONFIG_NUMBER, AT(gateway.inbox_max_bytes), .min = 1024,
     .max = 67108864, .unit = "bytes", .standard = "262144", .help = "the same in bytes"},
    {"gateway", "outbox_max_bytes", CONFIG_NUMBER, AT(gateway.outbox_max_bytes), .min = 4096,
     .max = 1073741824, .unit = "bytes", .standard = "1048576",
     .help = "unsent bytes of a session before its slow client is closed"},
    {"gateway", "idle_timeout_ms", CONFIG_NUMBER, AT(gateway.idle_timeout_ms), .min = 0,
     .max = WEEK_MS, .unit = "ms", .standard = "0",
     .help = "a client silent for so long is closed; 0 = never"},
    {"gateway", "linger_timeout_ms", CONFIG_NUMBER, AT(gateway.linger_timeout_ms), .min = 0,
     .max = HOUR_MS, .unit = "ms", .standard = "2000",
     .help = "how long an orderly close waits for the client"},
    {"gateway", "turn_timeout_ms", CONFIG_NUMBER, AT(gateway.turn_timeout_ms), .min = 0,
     .max = HOUR_MS, .unit = "ms", .standard = "5000",
     .help = "a worker that leaves an input unanswered for so long is replaced; 0 = never"},
    {"gateway", "state_max_bytes", CONFIG_NUMBER, AT(gateway.state_max_bytes), .min = 0,
     .max = 8388608, .unit = "bytes", .standard = "65536",
     .help = "of one actor's state; a worker that commits more is cut off"},
    {"gateway", "poison_strikes", CONFIG_NUMBER, AT(gateway.poison_strikes), .min = 1, .max = 100,
     .unit = "workers", .standard = "3",
     .help = "so many workers may die of one input before its actor is closed"},
    {"gateway", "deadletter_max_bytes", CONFIG_NUMBER, AT(gateway.deadletter_max_bytes), .min = 0,
     .max = 67108864, .unit = "bytes", .standard = "1048576",
     .help = "of the file that keeps such inputs, see `troupe deadletters`; 0 = keep none"},
    {"gateway", "heartbeat_ms", CONFIG_NUMBER, AT(gateway.heartbeat_ms), .min = 10, .max = 60000,
     .unit = "ms", .standard = "1000",
     .help = "a silent worker is asked this often; three misses end its link"},
    {"workers", "command", CONFIG_TEXT, AT(workers.command), .min = 1, TEXT_BYTES,
     .standard = "troupe-echo",
     .help = "a program of the bin folder, or a path, and its arguments"},
    {"workers", "count", CONFIG_NUMBER_OR_AUTO, AT(workers.count), .min = 1, .max = 256, .unit = "",
     .standard = "auto", .help = "worker processes; auto = one per core"},
    {"admin", "listen", CONFIG_ADDRESS_OR_OFF, AT(admin.listen),
     .switch_offset = offsetof(struct config, admin.enabled), .unit = "",
     .standard = "127.0.0.1:7780", .help = "reserved for the admin endpoint"},
};

_Static_assert(ARRAY_COUNT(table) <= CONFIG_KEYS_MAX, "raise CONFIG_KEYS_MAX");

static bool bytes_are(struct bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

// Decimal digits from end to end, as people and YAML read them alike: no sign, no leading zero.
static bool number_parse(struct bytes text, uint32_t *out_number)
{
    uint64_t number = 0;

    if (text.size == 0 || (text.data[0] == '0' && text.size > 1))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
        if (number > UINT32_MAX)
            return false;
    }
    *out_number = (uint32_t)number;
    return true;
}

static bool is_name(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '-' || c == '_'))
            return false;
    }
    return true;
}

static bool is_printable(struct bytes text)
{
    while (text.size > 0) {
        size_t length = text_printable((const char *)text.data, text.size);

        if (length == 0)
            return false;
        text.data += length;
        text.size -= length;
    }
    return true;
}

static int text_set(const struct config_key *key, char *place, struct bytes text,
                    const char **out_why)
{
    if (text.size < key->min || text.size > key->max)
        return -EINVAL;
    if (key->type == CONFIG_NAME ? !is_name(text) : !is_printable(text)) {
        if (key->type == CONFIG_TEXT)
            *out_why = "it has a byte that cannot be printed";
        return -EINVAL;
    }
    if (text.size > 0)
        memcpy(place, text.data, text.size);
    place[text.size] = '\0';
    return 0;
}

static int number_set(const struct config_key *key, uint32_t *place, struct bytes text)
{
    uint32_t number;

    if (key->type == CONFIG_NUMBER_OR_AUTO && bytes_are(text, "auto")) {
        *place = CONFIG_AUTO;
        return 0;
    }
    if (!number_parse(text, &number) || number < key->min || number > key->max)
        return -EINVAL;
    *place = number;
    return 0;
}

static int level_set(enum log_level *place, struct bytes text)
{
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        if (bytes_are(text, log_level_text((enum log_level)level))) {
            *place = (enum log_level)level;
            return 0;
        }
    }
    return -EINVAL;
}

static int address_set(const struct config_key *key, struct config *config, struct bytes text,
                       const char **out_why)
{
    struct net_addr *place = (struct net_addr *)(void *)((char *)config + key->offset);
    bool *enabled = (bool *)((char *)config + key->switch_offset);
    char copy[ADDR_TEXT_MAX];
    int rc;

    if (key->type == CONFIG_ADDRESS_OR_OFF && bytes_are(text, "off")) {
        *enabled = false;
        return 0;
    }
    // An embedded zero byte would end the copy early.
    if (text.size >= sizeof(copy) || !is_printable(text))
        return -EINVAL;
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    rc = addr_parse(copy, place, out_why);
    if (rc == 0 && key->type == CONFIG_ADDRESS_OR_OFF)
        *enabled = true;
    return rc;
}

// Edits (insert, delete, replace) from one text to the other; both shorter than FULL_NAME_MAX.
static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t row[FULL_NAME_MAX] = {0};

    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_size];
}

// A text as a YAML scalar in double quotes. It is printable, so only two bytes need an escape.
static void quote_yaml(const char *text, char *out)
{
    *out++ = '"';
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            *out++ = '\\';
        *out++ = *text;
    }
    *out++ = '"';
    *out = '\0';
}

const struct config_key *config_keys(size_t *out_count)
{
    *out_count = ARRAY_COUNT(table);
    return table;
}

const struct config_key *config_key_find(struct bytes section, struct bytes name)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (bytes_are(section, table[i].section) && bytes_are(name, table[i].name))
            return &table[i];
    }
    return NULL;
}

const char *config_section_find(struct bytes section)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (bytes_are(section, table[i].section))
            return table[i].section;
    }
    return NULL;
}

const struct config_key *config_key_near(struct bytes full_name)
{
    const struct config_key *nearest = NULL;
    size_t least = NEAR_MAX + 1;

    if (full_name.size >= FULL_NAME_MAX)
        return NULL;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        char full[FULL_NAME_MAX];
        size_t size = (size_t)snprintf(full, sizeof(full), "%s.%s", FULL(&table[i]));
        size_t edits = distance((const char *)full_name.data, full_name.size, full, size);

        if (edits < least) {
            least = edits;
            nearest = &table[i];
        }
    }
    return nearest;
}

int config_key_parse(const struct config_key *key, struct config *config, struct bytes text,
                     const char **out_why)
{
    void *place = (char *)config + key->offset;

    *out_why = NULL;
    switch (key->type) {
    case CONFIG_TEXT:
    case CONFIG_NAME:
        return text_set(key, place, text, out_why);
    case CONFIG_NUMBER:
    case CONFIG_NUMBER_OR_AUTO:
        return number_set(key, place, text);
    case CONFIG_LEVEL:
        return level_set(place, text);
    case CONFIG_ADDRESS:
    case CONFIG_ADDRESS_OR_OFF:
        return address_set(key, config, text, out_why);
    }
    return -EINVAL;
}

const char *config_key_allowed(const struct config_key *key, char out[CONFIG_ALLOWED_MAX])
{
    const char *blank = *key->unit != '\0' ? " " : "";
    unsigned min = (unsigned)key->min;
    unsigned max = (unsigned)key->max;

    switch (key->type) {
    case CONFIG_TEXT:
        snprintf(out, CONFIG_ALLOWED_MAX, "a text of %u to %u bytes", min, max);
        break;
    case CONFIG_NAME:
        snprintf(out, CONFIG_ALLOWED_MAX, "%u to %u letters, digits, '-' and '_'", min, max);
        break;
    case CONFIG_NUMBER:
        snprintf(out, CONFIG_ALLOWED_MAX, "%u to %u%s%s", min, max, blank, key->unit);
        break;
    case CONFIG_NUMBER_OR_AUTO:
        snprintf(out, CONFIG_ALLOWED_MAX, "auto, or %u to %u%s%s", min, max, blank, key->unit);
        break;
    case CONFIG_LEVEL:
        snprintf(out, CONFIG_ALLOWED_MAX, "debug, info, warn or error");
        break;
    case CONFIG_ADDRESS:
        snprintf(out, CONFIG_ALLOWED_MAX, "host:port, such as 127.0.0.1:7777 or [::]:7777");
        break;
    case CONFIG_ADDRESS_OR_OFF:
        snprintf(out, CONFIG_ALLOWED_MAX, "off, or host:port, such as 127.0.0.1:7777");
        break;
    }
    return out;
}

const char *config_key_value(const struct config_key *key, const struct config *config,
                             char out[CONFIG_VALUE_MAX])
{
    const void *place = (const char *)config + key->offset;
    char address[ADDR_TEXT_MAX];
    uint32_t number = 0;

    switch (key->type) {
    case CONFIG_TEXT:
    case CONFIG_NAME:
        quote_yaml(place, out);
        break;
    case CONFIG_NUMBER:
    case CONFIG_NUMBER_OR_AUTO:
        memcpy(&number, place, sizeof(number));
        if (key->type == CONFIG_NUMBER_OR_AUTO && number == CONFIG_AUTO)
            snprintf(out, CONFIG_VALUE_MAX, "auto");
        else
            snprintf(out, CONFIG_VALUE_MAX, "%u", (unsigned)number);
        break;
    case CONFIG_LEVEL:
        snprintf(out, CONFIG_VALUE_MAX, "%s", log_level_text(*(const enum log_level *)place));
        break;
    case CONFIG_ADDRESS:
    case CONFIG_ADDRESS_OR_OFF:
        if (key->type == CONFIG_ADDRESS_OR_OFF &&
            !*(const bool *)((const char *)config + key->switch_offset))
            snprintf(out, CONFIG_VALUE_MAX, "off");
        else
            quote_yaml(addr_text(place, address), out);
        break;
    }
    return out;
}
