// load.h - one run of the load generator: connects, sends, checks every reply, measures.
// Floor 4.
#ifndef TROUPE_LOAD_H
#define TROUPE_LOAD_H

#include "options.h"
#include "result.h"

// Runs to its end, however that is; out_result tells what came of it (it is zeroed first). Progress
// goes to standard error once a second. Ends by itself when nothing goes on for timeout_ms.
void load_run(const struct options *options, struct result *out_result);

#endif
