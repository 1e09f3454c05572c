// router.h - ties sessions to workers: chooses a link, delivers frames, applies commits.
// Floor 4. The only file that knows both sessions and links.
//
// A session's actor is bound at its open to the link with the fewest actors, and stays there while
// that lives. It waits, without receiving, while there is no link or its link's window is full; who
// waits is served in order. When a link is lost, the ledger takes back what its worker owed, and
// the actors go on at other links as if nothing had happened; an actor whose input has ended one
// worker after another is closed with it. Owner: the shard's thread.
#ifndef TROUPE_ROUTER_H
#define TROUPE_ROUTER_H

#include "base.h"
#include "close_log.h"
#include "effect.h"
#include "link.h"
#include "session_table.h"

struct router_config {
    struct session_shared *sessions; // its handler and owner are set by router_init()
    struct session_table *table;
    struct link_config link; // handler and owner are set by router_init()
    uint32_t poison_strikes; // workers that an actor's input may end before the actor is closed
    uint64_t (*utc_ms)(void);
    // SEND or PUBLISH for other shards; the effect is lent.
    void (*elsewhere)(void *owner, const struct envelope *effect);
    void *owner; // of elsewhere
    // A worker does not answer: somebody may want to kill it.
    void (*hung)(uint32_t worker, uint64_t process_id, const char *why);
    // An actor is closed because of this input: it ended one worker after another, the last one
    // was link's, which ended like that. All of it is lent.
    void (*poisoned)(const struct session *session, const struct ledger_input *input,
                     const struct link *link, const char *why);
};

struct router_counts {
    uint64_t links_up;
    uint64_t links_lost;
    uint64_t commits;
    uint64_t replayed; // inputs delivered again, without those of timers
    uint64_t poisoned; // sessions
};

enum router_state {
    ROUTER_RUNNING,
    ROUTER_CLOSING, // actors are not bound again
};

struct router {
    struct router_config config;
    enum router_state state;
    struct effects effects;
    struct list links; // every link, in any state
    uint32_t link_count;
    struct list waiting;    // sessions without a link
    struct session *served; // may pass those that wait
    struct router_counts counts;
    struct close_log close_log;
};

void router_init(struct router *router, const struct router_config *config);

// A worker's stream has been accepted.
void router_accept(struct router *router, struct stream *stream);

// A session has been opened.
void router_open(struct router *router, struct session *session);

// Sends what has been delivered since the last time.
void router_flush(struct router *router);

// Timers of the actors, heartbeats and time-outs of the links. Returns ms until the next look, -1 =
// not needed.
int router_tick(struct router *router);

// Closes all links and forgets the actors; over when link_count is 0.
void router_close(struct router *router);

void router_fini(struct router *router);

#endif
