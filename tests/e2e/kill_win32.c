#include <winsock2.h>
#include <windows.h>

#include "kill.h"

int kill_process(uint64_t process_id)
{
    HANDLE process = OpenProcess(PROCESS_TERMINATE, FALSE, (DWORD)process_id);
    BOOL done;

    if (!process)
        return -ESRCH;
    done = TerminateProcess(process, 9);
    CloseHandle(process);
    return done ? 0 : -EACCES;
}

bool kill_has_signals(void)
{
    return false;
}

// There is no documented call for it.
int freeze_process(uint64_t process_id)
{
    (void)process_id;
    return -ENOTSUP;
}

// The name of a worker's stop event is its supervisor's secret.
int ask_process(uint64_t process_id)
{
    (void)process_id;
    return -ENOTSUP;
}
