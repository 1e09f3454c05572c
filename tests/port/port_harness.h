// port_harness.h - a port under test: every operation is counted out and counted home.
// Floor 1.
//
// A case works on a world: one port and the sockets made through it. Operations are tracks, zeroed
// once and started as often as wanted. The world checks with each start and each done that: done
// comes once for a start, from port_poll() only, never nested; port_in_flight() and what
// port_poll() returns agree with its own count. world_end() checks that all is home and all sockets
// are closed.
#ifndef TROUPE_PORT_HARNESS_H
#define TROUPE_PORT_HARNESS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base.h"
#include "addr.h"
#include "port.h"

enum {
    TEST_OPS = 2000,         // of the long cases: a completion may cost 50 us
    TEST_WAIT_MS = 60000,    // nothing takes so long: what is not home by then is lost
    TEST_OP_COUNT_MAX = 4096 // of each world
};

// What the suite must know of the port it runs on.
struct port_kind {
    const char *name;
    bool threads;             // several threads may use it
    int rounds;               // times the suite runs
    void (*begin)(int round); // before each case
    void (*end)(void);        // after each case: the kind's own leak checks
};
extern const struct port_kind port_kind;

struct world {
    struct port *port;
    net_socket listener; // NET_SOCKET_NONE until world_listen()
    struct net_addr at;  // of the listener
    uint32_t sockets;    // open
    uint32_t in_flight;  // without posts
    uint64_t homes;
    bool submitting;
    bool running; // a done
};

enum track_kind { TRACK_IDLE, TRACK_OP, TRACK_ACCEPT, TRACK_POST };

struct track {
    struct port_op op;
    struct world *world;
    enum track_kind kind; // what is in flight
    uint32_t starts;
    uint32_t homes;
    int error; // as it came home
    uint32_t bytes;
    net_socket accepted;
    uint8_t *into; // a receive copies here, if set
    uint32_t room;
    void (*then)(struct track *track); // runs within done, if set
    void *owner;                       // then's
};

int world_setup(void **state);    // *state = a world
int world_teardown(void **state); // and world_end() of it
void world_begin(struct world *world);
void world_end(struct world *world); // closes the listener; aborts the case if something is left

void world_listen(struct world *world);
net_socket world_socket(struct world *world, const struct net_addr *for_peer);
void world_pair(struct world *world, net_socket *out_client, net_socket *out_server);
void world_end_socket(struct world *world, net_socket socket, enum port_close_mode mode);
void world_cancel(struct world *world, net_socket socket);

// One port_poll(); how many came home.
int world_step(struct world *world, int timeout_ms);

// Polls until the track is home, or until the count of something has been reached.
void world_wait(struct world *world, const struct track *track);
void world_wait_for(struct world *world, const uint32_t *count, uint32_t least);

// Polls until nothing has come home for a moment.
void world_settle(struct world *world);

void start_accept(struct world *world, struct track *track, net_socket listener);
void start_connect(struct world *world, struct track *track, net_socket socket,
                   const struct net_addr *to);
void start_recv(struct world *world, struct track *track, net_socket socket);
void start_send(struct world *world, struct track *track, net_socket socket,
                const struct bytes *slices, uint32_t count);
void start_close(struct world *world, struct track *track, net_socket socket,
                 enum port_close_mode mode);
void start_post(struct world *world, struct track *track);

static inline bool is_home(const struct track *track)
{
    return track->kind == TRACK_IDLE && track->starts > 0;
}

// Sends one slice whole, in as many operations as it takes.
void send_all(struct world *world, net_socket socket, const void *data, size_t size);

// Receives exactly that much.
void recv_all(struct world *world, net_socket socket, void *into, size_t size);

// True for what a receive or send says when the peer is gone without a farewell. Systems differ in
// which of these it is, and when.
bool error_is_reset(int error);

uint32_t test_random(uint64_t *state); // a small generator; state is its seed

extern const struct net_addr any_loopback; // 127.0.0.1:0

// The cases, a file a subject.
extern const struct CMUnitTest port_socket_cases[];
extern const size_t port_socket_case_count;
extern const struct CMUnitTest port_stream_cases[];
extern const size_t port_stream_case_count;
extern const struct CMUnitTest port_cancel_cases[];
extern const size_t port_cancel_case_count;
extern const struct CMUnitTest port_post_cases[];
extern const size_t port_post_case_count;
extern const struct CMUnitTest port_load_cases[];
extern const size_t port_load_case_count;

#define PORT_CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

#endif
