// error_win32.h - codes of Windows, of Winsock and of finished operations as negative errno.
// Floor 0. For the Windows twins.
#ifndef TROUPE_ERROR_WIN32_H
#define TROUPE_ERROR_WIN32_H

#include "base.h"

// -EIO for a code that it does not know; never 0. Any thread.
int error_from_windows(uint32_t code);

#endif
