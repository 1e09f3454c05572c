// troupe-bench - load generator and verifier for echoing servers behind a gateway.
#include <stdio.h>
#include <string.h>

#include "load.h"
#include "options.h"
#include "os.h"
#include "bench_report.h"

static int write_json(const struct options *options, const struct result *result)
{
    FILE *to = options->json_file ? fopen(options->json_file, "w") : stdout;
    bool fine;

    if (!to) {
        fprintf(stderr, "troupe-bench: '%s' cannot be written: %s\n", options->json_file,
                strerror(errno));
        return 1;
    }
    report_json(to, options, result);
    fine = !ferror(to);
    if (options->json_file && fclose(to) != 0)
        fine = false;
    if (!fine)
        fprintf(stderr, "troupe-bench: the result cannot be written\n");
    return fine ? 0 : 1;
}

static int run(const struct options *options)
{
    static struct result result; // large
    uint32_t limit = os_descriptor_limit_raise();
    int rc = 0;

    if (options->clients + options->idle >= limit)
        fprintf(stderr, "troupe-bench: only %u descriptors are allowed, see 'ulimit -n'\n",
                (unsigned)limit);
    load_run(options, &result);
    if (options->json)
        rc = write_json(options, &result);
    if (!options->json || options->json_file)
        report_text(stdout, options, &result);
    if (result.error_count > 0) {
        fprintf(stderr, "troupe-bench: failed: %s\n", result.first_error);
        rc = 1;
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct options options;
    char why[256];

    os_init();
    switch (options_parse(&options, argc, argv, why)) {
    case OPTIONS_HELP:
        fputs(options_help(), stdout);
        return 0;
    case OPTIONS_VERSION:
        puts("troupe-bench " TROUPE_VERSION);
        return 0;
    case OPTIONS_RUN:
        return run(&options);
    case OPTIONS_WRONG:
    default:
        fprintf(stderr, "troupe-bench: %s\n", why);
        return 2;
    }
}
