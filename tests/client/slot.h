// slot.h - one client of a load: sends its frames, checks the replies, follows its connection.
// Floor 3.
#ifndef TROUPE_SLOT_H
#define TROUPE_SLOT_H

#include "client.h"
#include "options.h"
#include "pattern.h"
#include "result.h"

enum slot_state {
    SLOT_CONNECTING,
    SLOT_TALKING,  // or silent, when it is an idle one
    SLOT_ANSWERED, // all replies are here
    SLOT_CLOSING,  // at the end of the run
    SLOT_DONE,
    SLOT_FAILED,
    SLOT_STATES,
};

enum slot_phase { PHASE_CONNECT, PHASE_TALK, PHASE_STOP, PHASE_CLOSE, PHASE_OVER };

// What all slots of a run share.
struct slot_run {
    const struct options *options;
    struct result *result;
    struct client *client;
    struct pattern pattern;
    enum slot_phase phase;
    uint32_t talkers[SLOT_STATES]; // clients in each state
    uint32_t silent[SLOT_STATES];  // idle connections in each state
    uint8_t *scratch;              // room for one frame
    uint64_t start_ns;             // of PHASE_TALK
    uint64_t progress_ms;          // when something last went on
};

struct slot {
    struct slot_run *run;
    struct client_conn *conn; // NULL before it is opened and once it is closed
    uint32_t number;
    enum slot_state state;
    bool idle;
    bool half_closed;
    uint64_t due;      // frames that may have been sent by now
    uint64_t sent;     //
    uint64_t received; //
    size_t within;     // bytes of the next reply that are here
    uint64_t *sent_ns; // of frame i at [i % window]; NULL with a rate
};

extern const struct client_handler slot_handler;

// Opens its connection; a failure is counted.
void slot_open(struct slot *slot);

// Sends what may be sent, and moves on when all is sent and answered.
void slot_pump(struct slot *slot);

// The end of the run: closes the connection in order.
void slot_close(struct slot *slot);

// With a rate: when a frame of the run is due; frames are dealt to the clients in turn.
uint64_t slot_due_ns(const struct slot_run *run, uint64_t frame);

void slot_progress(struct slot_run *run);

#endif
