#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct choice {
    const char *name;
    enum {
        TAKES_NOTHING,
        TAKES_NUMBER32,
        TAKES_NUMBER64,
        TAKES_TEXT,
        TAKES_OTHER, // parsed by hand
        MAY_TAKE,    // parsed by hand, the value may be missing
    } takes;
    size_t offset; // in struct options
    uint64_t least;
    uint64_t most;
};

#define NUMBER32(name, field, least, most)                                                         \
    {                                                                                              \
        name, TAKES_NUMBER32, offsetof(struct options, field), least, most                         \
    }
#define NUMBER64(name, field, least, most)                                                         \
    {                                                                                              \
        name, TAKES_NUMBER64, offsetof(struct options, field), least, most                         \
    }
#define SWITCH(name, field)                                                                        \
    {                                                                                              \
        name, TAKES_NOTHING, offsetof(struct options, field), 0, 0                                 \
    }
#define OTHER(name, takes)                                                                         \
    {                                                                                              \
        name, takes, 0, 0, 0                                                                       \
    }

static const struct choice choices[] = {
    OTHER("connect", TAKES_OTHER),
    {"frame", TAKES_TEXT, offsetof(struct options, frame), 0, 0},
    NUMBER32("max-frame-bytes", max_frame_bytes, 1, FRAME_PAYLOAD_MAX),
    NUMBER32("clients", clients, 0, 1000000),
    NUMBER32("idle", idle, 0, 1000000),
    NUMBER64("frames", frames, 1, UINT32_MAX),
    NUMBER32("seconds", seconds, 1, 86400),
    OTHER("size", TAKES_OTHER),
    OTHER("sizes", TAKES_OTHER),
    NUMBER32("window", window, 1, 65536),
    NUMBER32("rate", rate, 1, 100000000),
    NUMBER64("seed", seed, 0, UINT64_MAX),
    NUMBER32("timeout-ms", timeout_ms, 1, 3600000),
    OTHER("connect-per-message", TAKES_NOTHING),
    SWITCH("verify", verify),
    OTHER("no-verify", TAKES_NOTHING),
    SWITCH("half-close", half_close),
    SWITCH("quiet", quiet),
    OTHER("json", MAY_TAKE),
    OTHER("pid", TAKES_OTHER),
};

static int number_parse(const char *text, char end, uint64_t *out, const char **out_rest)
{
    uint64_t value = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        if (value > (UINT64_MAX - digit) / 10)
            return -EINVAL;
        value = value * 10 + digit;
    }
    if (at == text || (*at != end && *at != '\0'))
        return -EINVAL;
    *out = value;
    *out_rest = at;
    return 0;
}

static bool set_number(struct options *options, const struct choice *choice, const char *value,
                       char why[256])
{
    void *field = (char *)options + choice->offset;
    const char *rest;
    uint64_t number;

    if (number_parse(value, '\0', &number, &rest) < 0 || number < choice->least ||
        number > choice->most) {
        snprintf(why, 256, "--%s: '%.60s' is not allowed: %llu to %llu", choice->name, value,
                 (unsigned long long)choice->least, (unsigned long long)choice->most);
        return false;
    }
    if (choice->takes == TAKES_NUMBER64)
        *(uint64_t *)field = number;
    else
        *(uint32_t *)field = (uint32_t)number;
    return true;
}

static bool set_sizes(struct options *options, const char *name, const char *value, char why[256])
{
    uint64_t least, most;
    const char *rest;

    if (number_parse(value, '-', &least, &rest) < 0)
        goto wrong;
    most = least;
    if (*rest == '-' && number_parse(rest + 1, '\0', &most, &rest) < 0)
        goto wrong;
    if (least > most)
        goto wrong;
    options->size_min = least;
    options->size_max = most;
    return true;
wrong:
    snprintf(why, 256, "--%s: '%.60s' is not allowed: a number of bytes, or MIN-MAX", name, value);
    return false;
}

static bool set_pids(struct options *options, const char *value, char why[256])
{
    const char *at = value;

    while (options->pid_count < OPTIONS_PIDS_MAX) {
        if (number_parse(at, ',', &options->pids[options->pid_count], &at) < 0)
            break;
        options->pid_count++;
        if (*at == '\0')
            return true;
        at++;
    }
    snprintf(why, 256, "--pid: '%.60s' is not allowed: process ids, separated by ','", value);
    return false;
}

static bool set_other(struct options *options, const char *name, const char *value, char why[256])
{
    const char *reason;

    if (strcmp(name, "connect") == 0) {
        if (addr_parse(value, &options->connect, &reason) == 0)
            return true;
        snprintf(why, 256, "--connect: '%.60s': %s", value, reason);
        return false;
    }
    if (strcmp(name, "size") == 0 || strcmp(name, "sizes") == 0)
        return set_sizes(options, name, value, why);
    if (strcmp(name, "pid") == 0 && value)
        return set_pids(options, value, why);
    CHECK(strcmp(name, "json") == 0); // the one whose value may be missing
    options->json = true;
    options->json_file = value;
    return true;
}

static void set_switch(struct options *options, const struct choice *choice)
{
    if (strcmp(choice->name, "connect-per-message") == 0)
        options->mode = OPTIONS_CONNECT_EACH;
    else if (strcmp(choice->name, "no-verify") == 0)
        options->verify = false;
    else
        *(bool *)((char *)options + choice->offset) = true;
}

static const struct choice *find_choice(const char *name, size_t size)
{
    size_t i;

    for (i = 0; i < ARRAY_COUNT(choices); i++)
        if (strlen(choices[i].name) == size && memcmp(choices[i].name, name, size) == 0)
            return &choices[i];
    return NULL;
}

// One option and its value, which may be the next argument. Returns how many arguments it took, or
// 0 when it is wrong.
static int parse_one(struct options *options, char **at, char why[256])
{
    const char *name = *at + 2;
    const char *equals = strchr(name, '=');
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    const struct choice *choice = strncmp(*at, "--", 2) == 0 ? find_choice(name, size) : NULL;
    const char *value = equals ? equals + 1 : at[1];
    int took = equals ? 1 : 2;
    bool fine;

    if (!choice) {
        snprintf(why, 256, "'%.60s' is not known, see --help", *at);
        return 0;
    }
    if (choice->takes == TAKES_NOTHING) {
        if (equals) {
            snprintf(why, 256, "--%s takes no value", choice->name);
            return 0;
        }
        set_switch(options, choice);
        return 1;
    }
    if (choice->takes == MAY_TAKE && !equals && (!value || strncmp(value, "--", 2) == 0)) {
        value = NULL;
        took = 1;
    } else if (!value) {
        snprintf(why, 256, "--%s wants a value", choice->name);
        return 0;
    }
    if (choice->takes == TAKES_TEXT) {
        *(const char **)(void *)((char *)options + choice->offset) = value;
        fine = true;
    } else if (choice->takes == TAKES_NUMBER32 || choice->takes == TAKES_NUMBER64) {
        fine = set_number(options, choice, value, why);
    } else {
        fine = set_other(options, choice->name, value, why);
    }
    return fine ? took : 0;
}

// What spans several options, and the defaults that depend on others.
static bool complete(struct options *options, char why[256])
{
    const char *reason;

    if (frame_codec_parse(&options->codec, options->frame, options->max_frame_bytes, &reason) < 0) {
        snprintf(why, 256, "--frame: '%.60s': %s", options->frame, reason);
        return false;
    }
    if (options->size_max == UINT64_MAX) // not said
        options->size_min = options->size_max = 64;
    if (options->size_min < options->codec.payload_min ||
        options->size_max > options->codec.payload_max) {
        snprintf(why, 256, "--sizes: '%s' frames have %u to %u bytes", options->frame,
                 (unsigned)options->codec.payload_min, (unsigned)options->codec.payload_max);
        return false;
    }
    if (options->size_min == 0 && options->codec.kind == FRAME_RAW)
        options->size_min = 1;
    if (options->frames == 0 && options->seconds == 0)
        options->frames = 100;
    if (options->window == 0)
        options->window = options->rate > 0 ? 256 : 1;
    if (options->frames > 0 && options->seconds > 0)
        snprintf(why, 256, "--frames and --seconds do not go together");
    else if (options->clients + options->idle == 0)
        snprintf(why, 256, "--clients and --idle are both 0");
    else if (options->rate > 0 && options->clients == 0)
        snprintf(why, 256, "--rate wants --clients of 1 at least");
    else if (options->mode == OPTIONS_CONNECT_EACH && (options->rate > 0 || options->half_close))
        snprintf(why, 256, "--connect-per-message goes with neither --rate nor --half-close");
    else
        return true;
    return false;
}

enum options_result options_parse(struct options *out_options, int count, char **arguments,
                                  char out_why[256])
{
    struct options options = {
        .frame = "rookiss",
        .max_frame_bytes = 65536,
        .clients = 1,
        .size_max = UINT64_MAX,
        .seed = 1,
        .timeout_ms = 30000,
        .verify = true,
    };
    int i = 1;

    CHECK(addr_parse("127.0.0.1:7777", &options.connect, NULL) == 0);
    while (i < count) {
        int took;

        if (strcmp(arguments[i], "--help") == 0)
            return OPTIONS_HELP;
        if (strcmp(arguments[i], "--version") == 0)
            return OPTIONS_VERSION;
        took = parse_one(&options, arguments + i, out_why);
        if (took == 0)
            return OPTIONS_WRONG;
        i += took;
    }
    if (!complete(&options, out_why))
        return OPTIONS_WRONG;
    *out_options = options;
    return OPTIONS_RUN;
}

const char *options_help(void)
{
    return "usage: troupe-bench [options]\n"
           "Sends frames to an echoing server, checks every byte of the replies and measures.\n"
           "\n"
           "  --connect ADDRESS:PORT   the server (127.0.0.1:7777)\n"
           "  --frame CODEC            as in gateway.frame (rookiss)\n"
           "  --max-frame-bytes N      as in gateway.max_frame_bytes (65536)\n"
           "  --clients N              connections that talk (1)\n"
           "  --idle N                 connections beyond them that say nothing (0)\n"
           "  --frames K               frames of each client (100), or\n"
           "  --seconds S              send for so long\n"
           "  --size BYTES             payload of each frame (64), or\n"
           "  --sizes MIN-MAX          mixed sizes, both ends included\n"
           "  --window W               frames of a client under way (1; with --rate 256)\n"
           "  --rate R                 frames a second in all, sent when they are due, whatever\n"
           "                           the replies do; latency counts from the due time\n"
           "  --connect-per-message    connect, one frame, close, again\n"
           "  --half-close             FIN after the last frame; all replies must still come\n"
           "  --no-verify              do not check the replies' bytes\n"
           "  --seed N                 of sizes and bytes (1)\n"
           "  --timeout-ms N           give up after so long without any progress (30000)\n"
           "  --pid P[,P...]           CPU time per frame and resident bytes of these processes\n"
           "  --json[=FILE]            result for programs, to FILE or standard output\n"
           "  --quiet                  no progress\n"
           "  --help, --version\n"
           "\n"
           "Exit code: 0 all was answered right, 1 something was not, 2 wrong usage.\n";
}
