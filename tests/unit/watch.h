// watch.h - a child process as a test sees it: its lines and its end, on the test's own thread.
// Floor 2.
//
//   1. watch_start() with the arguments; a test program starts itself with the name of a role
//   2. watch_lines(), watch_end() wait for what is expected, however long the machine takes
//   3. watch_fini()
#ifndef TROUPE_WATCH_H
#define TROUPE_WATCH_H

#include "port.h"
#include "process.h"

enum { WATCH_LINES_MAX = 128, WATCH_PATIENCE_MS = 30000 };

struct watch_line {
    struct watch *watch;
    struct port_op op;
    char text[PROCESS_LINE_MAX];
};

struct watch {
    struct port *port;
    struct process *process;
    size_t told; // the module's threads: lines so far
    struct watch_line lines[WATCH_LINES_MAX];
    struct port_op exit_op;
    size_t seen; // the test's thread: lines so far
    bool ended;
    struct process_exit how;
};

// Result of process_start(). watch must be zero; it is big: make it static or allocate it.
int watch_start(struct watch *watch, const char *const *arguments, const char *const *environment);

void watch_lines(struct watch *watch, size_t count); // waits until so many have come
void watch_end(struct watch *watch);                 // waits for `exited`
void watch_fini(struct watch *watch);                // ends the child if need be; zero again

#endif
