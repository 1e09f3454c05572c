// conn_sides.h - both ends of one connection, each a conn, for the suites of conn.
// Floor 2.
#ifndef TROUPE_CONN_SIDES_H
#define TROUPE_CONN_SIDES_H

#include "base.h"
#include "conn.h"
#include "os.h"
#include "port.h"

enum { DEADLINE_MS = 30000, BIG = 3 * 1024 * 1024 };

enum act { ACT_NOTHING, ACT_FINISH, ACT_ABORT, ACT_HALF_CLOSE, ACT_PAUSE, ACT_PAUSE_RESUME };

struct side {
    struct conn conn;
    size_t eat_max;      // in one call of `received`
    enum act on_connect; // what is done in the callback
    enum act on_receive;
    enum act on_end;
    enum act on_send;
    uint64_t sent; // bytes put into the outbox; byte i is pattern(i)
    uint64_t eaten;
    uint64_t shown_most; // largest size shown at once
    unsigned received_calls;
    unsigned connected_calls;
    unsigned ended_calls;
    unsigned closed_calls;
    int error;
    bool in_received;
};

extern struct port *port;
extern net_socket listener;
extern struct net_addr address;
extern struct port_op accept_op;
extern struct side client, server;
extern const struct conn_handler side_handler;

// The network below: conn_network_fake.c or conn_network_real.c.
void network_start(uint64_t seed, bool rough); // rough: any order, pieces, delays
void network_end(void);                        // checks that nothing is left open
extern const uint64_t network_rounds;          // of random conversations that are worth their time

void random_start(uint64_t number);
size_t random_below(size_t below);

// Port and listener; sides_end() checks that all is home.
void sides_start(uint64_t seed, bool rough);
void sides_end(void);

void reset_sides(void);
void start_connect(void);
void accept_server(void);
void open_pair(void); // both stand

void say(struct side *side, size_t size); // into the outbox, and flushed
void both_closed(int client_error, int server_error);
void end_in_order(void);
void poll_once(void);

// Polls until the condition holds; the deadline only fails the test.
#define POLL_UNTIL(condition)                                                                      \
    do {                                                                                           \
        uint64_t deadline = os_now_ms() + DEADLINE_MS;                                             \
        while (!(condition)) {                                                                     \
            if (os_now_ms() > deadline)                                                            \
                fail_msg("never: %s", #condition);                                                 \
            poll_once();                                                                           \
        }                                                                                          \
    } while (0)

#endif
