// config.h - the configuration of a node: one YAML file and --section.key=value overrides.
// Floor 0.
//
//   1. config_init(&config)                  every key at its default
//   2. config_load(&config, path, &error)    a file, if there is one
//   3. config_set(&config, "gateway.shards=2", "--gateway.shards=2", &error)   overrides, in order
//   4. config_check(&config, &error)         what spans several keys
//
// One table describes every key: section, name, type, unit, range, default, one line of help.
// `troupe check` and --help print from it; the parser knows nothing else. Unknown keys, a key twice
// and values out of range are errors that name file, line and key and say what is allowed. The file
// is two plain levels: section: { key: scalar }.
#ifndef TROUPE_CONFIG_H
#define TROUPE_CONFIG_H

#include <stdio.h>

#include "base.h"
#include "addr.h"
#include "log.h"

enum {
    CONFIG_TEXT_MAX = 512, // bytes of a text value with its end
    CONFIG_AUTO = 0,       // "auto" in a number that allows it
};

struct config {
    struct {
        char name[64];                     // letters, digits, "-", "_"
        char runtime_dir[CONFIG_TEXT_MAX]; // "" in the file = the system's default, filled by check
        char log_file[CONFIG_TEXT_MAX];    // "" = standard error
        enum log_level log_level;
        uint32_t stop_timeout_ms; // an orderly stop may take this long, then it is killed
    } node;
    struct {
        struct net_addr listen;
        char frame[CONFIG_TEXT_MAX]; // a codec: a preset or a description, see proto/frame.h
        uint32_t shards;             // CONFIG_AUTO = one for every four cores
        uint32_t accepts;            // accept operations kept posted
        uint32_t max_sessions;
        uint32_t max_frame_bytes;  // of a frame without its length field
        uint32_t inbox_max_frames; // of one session, delivered and not yet answered; then receiving
        uint32_t inbox_max_bytes;  // from that client waits
        uint32_t outbox_max_bytes; // of one session; a client that reads slower than this is closed
        uint32_t idle_timeout_ms;  // 0 = never
        uint32_t linger_timeout_ms;    // how long an orderly close waits for the client
        uint32_t turn_timeout_ms;      // 0 = never; the oldest unanswered input of a worker
        uint32_t state_max_bytes;      // of one actor
        uint32_t poison_strikes;       // workers that one input may end before its actor is closed
        uint32_t heartbeat_ms;         // a silent link is asked this often; three misses end it
        uint32_t deadletter_max_bytes; // of the file with the inputs that ended workers; 0 = none
    } gateway;
    struct {
        char command[CONFIG_TEXT_MAX]; // a program of the bin folder or a path, and its arguments
        uint32_t count;                // CONFIG_AUTO = one per core
    } workers;
    struct {
        bool enabled;
        struct net_addr listen;
    } admin; // the keys are fixed by contract; nothing listens there yet
};

struct config_error {
    char text[512]; // "troupe.yaml:7: gateway.shards: '0' is not allowed: auto, or 1 to 64"
};

void config_init(struct config *config);

// 0; -ENOENT or another errno when the file cannot be read, -EINVAL when its content is wrong. In
// each case error->text is one complete line, and config is to be thrown away.
int config_load(struct config *config, const char *path, struct config_error *error);

// The same from memory; name is how errors call it.
int config_load_text(struct config *config, const char *name, const void *text, size_t size,
                     struct config_error *error);

// assignment is "section.key=value"; origin is how errors call it. 0 or -EINVAL.
int config_set(struct config *config, const char *assignment, const char *origin,
               struct config_error *error);

// Rules that span keys, and defaults that need the system (runtime_dir). 0 or -EINVAL.
int config_check(struct config *config, struct config_error *error);

// The whole configuration as a YAML file that config_load() reads back to the same, each key with
// its unit, what is allowed and its meaning as a comment.
void config_print(const struct config *config, FILE *to);

// One line a key for --help: name, default, what is allowed, meaning.
void config_print_keys(FILE *to);

// The command line that every program of a node takes: [--config FILE] [--section.key=value ...].
// Walks arguments[1..]; each argument that is not the configuration's is left in place at the front
// of arguments, in order, with their count in *in_out_count (arguments[0] included). Loads, sets
// and checks. 0 or -EINVAL/-ENOENT with error filled.
int config_from_arguments(struct config *config, int *in_out_count, char **arguments,
                          struct config_error *error);

#endif
