// deadletters.h - `troupe deadletters`: lists and shows the inputs that ended workers.
// Floor 3.
//
// The file is read as it is; whether the node runs does not matter.
#ifndef TROUPE_DEADLETTERS_H
#define TROUPE_DEADLETTERS_H

#include <stdio.h>

#include "base.h"

struct deadletters_request {
    uint32_t line; // the one to show, whole; 0 = list all
    bool json;
};

// Prints what a file of this name holds; changes the bytes. Damaged lines are named on complaints
// and skipped. 0, or -ENOENT when the line to show is none or damaged, which complaints says too.
int deadletters_print(const struct deadletters_request *request, const char *name, uint8_t *data,
                      size_t size, FILE *to, FILE *complaints);

// arguments[0] is the command's name. An exit code.
int deadletters_command(int count, char **arguments);

#endif
