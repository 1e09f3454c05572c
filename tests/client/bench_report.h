// bench_report.h - the result of a run for people and for programs.
// Floor 3.
#ifndef TROUPE_BENCH_REPORT_H
#define TROUPE_BENCH_REPORT_H

#include <stdio.h>

#include "options.h"
#include "result.h"

void report_text(FILE *to, const struct options *options, const struct result *result);
void report_json(FILE *to, const struct options *options, const struct result *result);

#endif
