// child.h - the state table of one child process: when to start it, wait, stop it or give it up.
// Floor 2. Pure: no clock, no process, no text; the time comes in with each event.
//
//   1. child_init()
//   2. child_event() for everything that happens; do what it answers
//   3. poll until child.deadline, then CHILD_TICK
//
// A child that dies is started again after a back-off of 20 ms, doubled with each death up to 2
// s, plus up to a quarter of jitter. A life that was ready for 10 s makes the next death the first
// again. The fifth death in a row is a crash loop: CHILD_REPORT_LOOP once, then always the longest
// back-off. Until CHILD_SETTLE (the node has been ready once) nothing is repeated that way: a child
// that said it failed for good, or died rules.start_deaths_max times in a row, is given up.
#ifndef TROUPE_CHILD_H
#define TROUPE_CHILD_H

#include "base.h"

enum {
    CHILD_BACK_OFF_MIN_MS = 20,
    CHILD_BACK_OFF_MAX_MS = 2 * 1000, // clients wait for it, connected
    CHILD_STEADY_MS = 10 * 1000,      // ready for this long: the deaths before it are forgotten
    CHILD_SLOW_MS = 10 * 1000,        // not ready after this long: worth a line
    CHILD_LOOP_DEATHS = 5,            // deaths in a row that make a crash loop
};

#define CHILD_NEVER UINT64_MAX

enum child_state {
    CHILD_IDLE,        // not started yet
    CHILD_SPAWNING,    // CHILD_SPAWN was answered, its outcome is due
    CHILD_STARTING,    // runs, not ready yet
    CHILD_READY,       // runs and works
    CHILD_REPLACING,   // killed because it hung; its exit is a death like any other
    CHILD_BACKING_OFF, // no process; starts again at the deadline
    CHILD_STOPPING,    // asked to stop; killed at the deadline
    CHILD_KILLED,      // killed at the node's stop; its exit is due
    CHILD_GIVEN_UP,    // no process; the node must stop
    CHILD_STOPPED,     // no process, none wanted: the end
    CHILD_STATE_COUNT
};

enum child_event {
    CHILD_START,
    CHILD_SPAWNED,      // outcome of CHILD_SPAWN
    CHILD_SPAWN_FAILED, // outcome of CHILD_SPAWN
    CHILD_SAYS_READY,   // it reported that it is ready
    CHILD_SAYS_FAILED,  // it reported that something is wrong for good; it will exit
    CHILD_EXITED,
    CHILD_HUNG,   // it must be ended and replaced
    CHILD_SETTLE, // the node has been ready once: restart from here on, never give up
    CHILD_STOP,   // the node stops: ask it, kill it later
    CHILD_KILL,   // the node stops at once
    CHILD_TICK,   // time has passed
    CHILD_EVENT_COUNT
};

enum child_action {
    CHILD_NOTHING,
    CHILD_SPAWN,        // start the process now, answer with SPAWNED or SPAWN_FAILED
    CHILD_ASK,          // ask the process to stop
    CHILD_END,          // kill the process
    CHILD_REPORT_READY, // it has become ready
    CHILD_REPORT_SLOW,  // it is not ready for long, once a life
    CHILD_REPORT_DEATH, // it died and starts again at the deadline
    CHILD_REPORT_LOOP,  // the same, and it is in a crash loop now
    CHILD_GIVE_UP,      // it died and will not be started again: stop the node
    CHILD_DONE,         // it has stopped for good
    CHILD_WRONG,        // an event that cannot be in this state: the caller is wrong
};

struct child_rules {
    uint32_t start_deaths_max; // deaths in a row before CHILD_SETTLE that give it up, 1 at least
    uint32_t stop_timeout_ms;  // from CHILD_ASK to CHILD_END
    uint64_t seed;             // of the jitter
};

struct child {
    struct child_rules rules;
    enum child_state state;
    uint64_t deadline;   // ms; CHILD_NEVER when only an event moves it
    uint64_t spawned_at; // ms; of the present or last life
    uint64_t ready_at;   // ms; of the present or last life, 0 = it was not ready
    uint64_t random;     // state of the jitter's generator
    uint32_t lives;      // processes started
    uint32_t deaths;     // ends that nobody asked for, failed starts included
    uint32_t streak;     // the last of them in a row without a steady life between
    bool failed;         // this life said that it failed for good
    bool settled;        // CHILD_SETTLE came
};

void child_init(struct child *child, const struct child_rules *rules);

enum child_action child_event(struct child *child, enum child_event event, uint64_t now_ms);

// True while there is a process.
bool child_alive(const struct child *child);

const char *child_state_text(enum child_state state); // "backing off"

#endif
