// member.h - one child of the node: its state table, its process, and what that reports.
// Floor 3.
//
//   1. member_init()
//   2. member_event() with CHILD_START and so on; the member starts, stops and kills its process
//   3. `report` and `changed` of the handler are called on the main thread, from port_poll() or
//      from member_event()
//
// Threads of process.h only post to the port; what a child prints for the user goes from its
// reader's thread straight to standard error, so that a standard error that blocks pushes back on
// the child, not into a queue of ours.
#ifndef TROUPE_MEMBER_H
#define TROUPE_MEMBER_H

#include "base.h"
#include "child.h"
#include "plan.h"
#include "port.h"
#include "process.h"
#include "report.h"

struct member;

struct member_handler {
    // READY or HUNG: to be answered with CHILD_SAYS_READY or CHILD_HUNG of whom it is about.
    void (*report)(struct member *member, const struct report *report);
    // SPAWN (it runs), END (it is being killed), every CHILD_REPORT_..., GIVE_UP, DONE.
    void (*changed)(struct member *member, enum child_action action);
};

struct member {
    struct child child;
    const char *name;        // "gateway", "worker 3": the owner's
    uint64_t process_id;     // of the present or last process
    char reason[384];        // of its last death
    void *owner;             // for the handler
    struct process *process; // NULL when there is none
    const struct member_handler *handler;
    const struct plan_process *plan;
    struct port *port;
    uint32_t reports_max;          // in one life; what it says then is the user's text
    uint32_t reports;              // of this life; the reader's while there is a process
    char failure[REPORT_TEXT_MAX]; // what this life said when it failed for good
    struct port_op exited;
    struct process_exit how; // written before `exited` is posted
};

struct member_config {
    const char *name; // kept by reference, as are the next three
    const struct plan_process *plan;
    struct port *port;
    const struct member_handler *handler;
    void *owner;
    struct child_rules rules;
    uint32_t reports_max;
};

void member_init(struct member *member, const struct member_config *config);

void member_event(struct member *member, enum child_event event);

#endif
