// pool.h - the workers of a node under test, as its log tells who is up, and what befalls them.
// Floor 4.
#ifndef TROUPE_POOL_H
#define TROUPE_POOL_H

#include "live.h"

enum { POOL_WORKERS_MAX = 64 };

enum blow { BLOW_KILL, BLOW_FREEZE, BLOW_ASK };

struct pool {
    struct live *live;
    long read; // of the log
    struct pool_worker {
        uint64_t process_id;
        bool hit; // it stays here, so that nobody hits it again
    } workers[POOL_WORKERS_MAX];
    uint32_t count;
    uint64_t blows;
};

void pool_watch(struct pool *pool, struct live *live);

// Reads what the log says anew.
void pool_look(struct pool *pool);

// Workers that are up and have not been hit.
uint32_t pool_whole(const struct pool *pool);

// Hits the one with this number of those that are whole.
void pool_hit(struct pool *pool, uint32_t number, enum blow blow);

// Waits until all that were hit are gone: a frozen one would hold up an orderly stop.
void pool_wait_settled(struct pool *pool);

// Orderly stop as live_stop(). Returns how many inputs were delivered again, as the gateway says.
uint64_t pool_stop(struct pool *pool);

// How often a text stands in a log.
uint32_t pool_count(const char *log_path, const char *text);

// The number behind the last such text in a log; 0 when there is none.
uint64_t pool_number(const char *log_path, const char *text);

#endif
