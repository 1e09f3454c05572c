// histogram.h - counts of values in log-linear buckets: quantiles within 1/32 of the value.
// Floor 0. Pure.
#ifndef TROUPE_HISTOGRAM_H
#define TROUPE_HISTOGRAM_H

#include "base.h"

enum {
    HISTOGRAM_SUB_BITS = 5, // each power of two is split into 32 buckets
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

struct histogram { // zero it
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t largest;
};

void histogram_add(struct histogram *histogram, uint64_t value);

// The smallest value that `part` (0 to 1) of all values do not pass, at most 1/32 too large; 1
// gives the largest value exactly. 0 when nothing was added.
uint64_t histogram_quantile(const struct histogram *histogram, double part);

#endif
