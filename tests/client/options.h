// options.h - what troupe-bench is asked to do: its command line, checked.
// Floor 2.
#ifndef TROUPE_OPTIONS_H
#define TROUPE_OPTIONS_H

#include "base.h"
#include "addr.h"
#include "frame.h"

enum { OPTIONS_PIDS_MAX = 64 };

enum options_mode {
    OPTIONS_STREAM,       // connections stay
    OPTIONS_CONNECT_EACH, // connect, one message, close; again
};

struct options {
    struct net_addr connect;
    struct frame_codec codec;
    const char *frame; // the codec's text
    uint32_t max_frame_bytes;
    uint32_t clients;
    uint32_t idle;     // connections beyond clients, that say nothing
    uint64_t frames;   // of each client; 0 = by time
    uint32_t seconds;  // 0 = by frames
    uint64_t size_min; // payload bytes
    uint64_t size_max;
    uint32_t window; // frames of a client under way
    uint32_t rate;   // frames a second of all clients together; 0 = as fast as replies come
    uint64_t seed;
    uint32_t timeout_ms; // without any progress
    enum options_mode mode;
    bool verify;
    bool half_close;
    bool quiet;
    bool json;
    const char *json_file; // NULL = standard output
    uint64_t pids[OPTIONS_PIDS_MAX];
    uint32_t pid_count;
};

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_WRONG };

// Texts of arguments are kept by reference. OPTIONS_WRONG: out_why (256 bytes) holds one line.
enum options_result options_parse(struct options *out_options, int count, char **arguments,
                                  char out_why[256]);

const char *options_help(void);

#endif
