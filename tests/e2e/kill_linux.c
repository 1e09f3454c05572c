#include "kill.h"

#include <signal.h>
#include <sys/types.h>

static int send_signal(uint64_t process_id, int number)
{
    CHECK(process_id > 1);
    return kill((pid_t)process_id, number) < 0 ? -errno : 0;
}

int kill_process(uint64_t process_id)
{
    return send_signal(process_id, SIGKILL);
}

bool kill_has_signals(void)
{
    return true;
}

int freeze_process(uint64_t process_id)
{
    return send_signal(process_id, SIGSTOP);
}

int ask_process(uint64_t process_id)
{
    return send_signal(process_id, SIGTERM);
}
