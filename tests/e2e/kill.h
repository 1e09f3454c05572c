// kill.h - what befalls a process of the node under test that is not the test's own child.
// Floor 0. Twins: kill_linux.c, kill_win32.c.
#ifndef TROUPE_KILL_H
#define TROUPE_KILL_H

#include "base.h"

// Ends it now, without a chance to clean up. 0, -ESRCH when there is none, or another error.
int kill_process(uint64_t process_id);

// Whether this system can do what follows to a process that is not ours: Windows cannot.
bool kill_has_signals(void);

// Freezes it where it stands, as a debugger does. The same, and -ENOTSUP.
int freeze_process(uint64_t process_id);

// Asks it to stop, as somebody at a terminal does. The same, and -ENOTSUP.
int ask_process(uint64_t process_id);

#endif
