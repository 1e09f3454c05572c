#include "kill.h"

#include <signal.h>
#include <sys/types.h>

int kill_process(uint64_t process_id)
{
    CHECK(process_id > 1);
    return kill((pid_t)process_id, SIGKILL) < 0 ? -errno : 0;
}
