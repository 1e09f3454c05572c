// process.h - a child process whose standard output comes back line by line.
// Floor 0.
//
//   1. process_start() on the thread that owns the children (Linux: they die with that thread)
//   2. `line` and `exited` are called on threads of the module: they may only copy and post
//   3. process_stop() asks, process_kill() does not
//   4. after `exited`: process_destroy()
//
// A child never outlives its parent, however that ends: PDEATHSIG and a process group on Linux, a
// job object that kills on close on Windows. Ctrl-C at the terminal does not reach it: only its
// parent decides when it stops. Its standard input is empty, its standard error is the parent's.
//
// Twins: process_linux.c, process_win32.c.
#ifndef TROUPE_PROCESS_H
#define TROUPE_PROCESS_H

#include "base.h"

enum { PROCESS_LINE_MAX = 1024 }; // longer lines of standard output come in pieces

struct process;

struct process_exit {
    int code;      // exit code; on Linux 128 + signal when a signal ended it
    int signal;    // Linux: the signal, 0 = none; Windows: 0
    char text[64]; // "exit code 3", "signal 9 (killed)", "exception 0xC0000005"
};

struct process_config {
    const char *const *arguments;   // [0] = path of the program; ends with NULL
    const char *const *environment; // "NAME=value" beyond the parent's; ends with NULL; may be NULL
    void (*line)(void *owner, const char *text);                 // without its end of line
    void (*exited)(void *owner, const struct process_exit *how); // once, after the last line
    void *owner;
};

// 0; -ENOENT, -EACCES, -ENOMEM, -EAGAIN, ... and nothing is called. What is passed in is copied.
int process_start(struct process **out_process, const struct process_config *config);

// Asks the child to stop: SIGTERM; a named event that os_on_stop() of the child waits for.
void process_stop(struct process *process);

// Ends the child now (Linux: its whole process group). `exited` still comes.
void process_kill(struct process *process);

uint64_t process_id(const struct process *process);

// After `exited` has been called (it may still be returning: waits for that). NULL is fine.
void process_destroy(struct process *process);

#endif
