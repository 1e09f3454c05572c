// live.h - a real node, started for a test: `troupe up` with a folder and a port of its own.
// Floor 3.
#ifndef TROUPE_LIVE_H
#define TROUPE_LIVE_H

#include "addr.h"
#include "run.h"

struct live {
    struct run run;
    char name[64]; // of the node
    char folder[OS_PATH_MAX];
    char log_path[OS_PATH_MAX];
    struct net_addr listen; // of the ready line, as the next three
    char listen_text[ADDR_TEXT_MAX];
    uint32_t workers;
    uint64_t gateway; // process id
};

// Starts it and waits for its ready line. Options beyond folder, log and port:
// `--section.key=value` texts that end with NULL, and may say the same key again.
void live_start(struct live *live, const char *const *options);

// The same without waiting; live_wait_ready() then reads the line, or fails the test.
void live_launch(struct live *live, const char *const *options);
void live_wait_ready(struct live *live);

// Orderly stop: exit code 0 and no process left, or the test fails.
void live_stop(struct live *live);

// Whether the log holds the text by now; live_wait_log() waits for it.
bool live_log_has(const struct live *live, const char *text);
void live_wait_log(struct live *live, const char *text);

// Waits until a process is gone.
void live_wait_gone(struct live *live, uint64_t process_id);

#endif
