// run.h - a program of the bin folder, started by a test, with its standard output kept.
// Floor 2.
//
// Whatever does not happen within RUN_DEADLINE_MS fails the test; nothing here sleeps. What a
// failed test leaves behind dies with the test program.
#ifndef TROUPE_RUN_H
#define TROUPE_RUN_H

#include "base.h"
#include "os.h"
#include "port.h"
#include "process.h"

enum { RUN_DEADLINE_MS = 90 * 1000 };

struct run { // zero it
    struct port *port;
    struct process *process;
    bool exited;
    struct process_exit how;
    struct port_op exit_op;
    char output[16 * 1024]; // lines, each with its end; more is dropped
    size_t output_size;
};

// arguments[0] is a program beside the test program; both lists end with NULL, environment may be
// NULL.
void run_start(struct run *run, const char *const *arguments, const char *const *environment);

// Waits for a line that begins so. Returns it (up to its '\n'), or NULL if the program has ended
// without it.
const char *run_wait_line(struct run *run, const char *beginning);

// Waits for the end and gives all back but the output. Returns the exit code.
int run_wait_exit(struct run *run);

void run_ask_to_stop(struct run *run);
void run_kill(struct run *run);

// Lets done() of everything that came be called, for up to timeout_ms.
void run_poll(struct run *run, int timeout_ms);

// Runs it to its end with its standard error in a file that is then read: errors of programs.
// Returns the exit code; out_error is a text of up to size - 1 bytes.
int run_to_end(const char *const *arguments, char *out_error, size_t size);

#endif
