// bare.h - a gateway without a supervisor: its workers come and go as the test says.
// Floor 4.
#ifndef TROUPE_BARE_H
#define TROUPE_BARE_H

#include "live.h"

struct bare {
    struct run gateway;
    char link[OS_PATH_MAX]; // where workers dial
    char log_path[OS_PATH_MAX];
    struct net_addr listen;
    uint32_t started; // workers so far
};

// One shard, no worker; options as for live_start().
void bare_start(struct bare *bare, const char *const *options);

// Starts a worker and waits until it is ready. arguments as for run_start().
void bare_worker(struct bare *bare, struct run *worker, const char *const *arguments);

// Ends it hard, and waits until the gateway knows.
void bare_kill(struct bare *bare, struct run *worker);

// Waits until a text stands so often in the log.
void bare_wait_log(struct bare *bare, const char *text, uint32_t times);

// Orderly stop of the gateway. Returns how many inputs it delivered again.
uint64_t bare_stop(struct bare *bare);

#endif
