#include "histogram.h"

static unsigned bit_length(uint64_t value)
{
    unsigned bits = 0;

    for (; value > 0; value >>= 1)
        bits++;
    return bits;
}

// Values below 2^SUB_BITS have a bucket each; above, the leading SUB_BITS + 1 bits choose it.
static size_t bucket_of(uint64_t value)
{
    unsigned bits = bit_length(value);
    unsigned shift = bits > HISTOGRAM_SUB_BITS + 1 ? bits - HISTOGRAM_SUB_BITS - 1 : 0;

    return ((size_t)shift << HISTOGRAM_SUB_BITS) + (size_t)(value >> shift);
}

static uint64_t bucket_last(size_t bucket)
{
    size_t high = bucket >> HISTOGRAM_SUB_BITS;
    unsigned shift = high > 1 ? (unsigned)high - 1 : 0;
    uint64_t lead = bucket - ((size_t)shift << HISTOGRAM_SUB_BITS);

    return (lead << shift) + (((uint64_t)1 << shift) - 1);
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[bucket_of(value)]++;
    histogram->total++;
    if (value > histogram->largest)
        histogram->largest = value;
}

uint64_t histogram_quantile(const struct histogram *histogram, double part)
{
    double wanted = part * (double)histogram->total;
    uint64_t seen = 0;
    size_t i;

    for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (histogram->counts[i] > 0 && (double)seen >= wanted) {
            uint64_t last = bucket_last(i);

            return last < histogram->largest ? last : histogram->largest;
        }
    }
    return histogram->largest;
}
