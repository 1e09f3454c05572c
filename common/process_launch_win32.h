// process_launch_win32.h - starts a program in a job, with three standard handles and nothing else.
// Floor 0. Internal to process_win32.c.
#ifndef TROUPE_PROCESS_LAUNCH_WIN32_H
#define TROUPE_PROCESS_LAUNCH_WIN32_H

#include "base.h"

struct process_launch {
    const char *const *arguments;   // as in struct process_config
    const char *const *environment; // NULL-ended, not NULL; entries win over the parent's
    void *output;                   // inheritable handle: the child's standard output
    void *job;                      // the child is in it from its first moment
};

// 0 and the child's handle and id, or a negative errno.
int process_launch(const struct process_launch *launch, void **out_process, uint32_t *out_id);

#endif
