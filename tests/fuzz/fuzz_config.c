// Goal: no file can harm whoever loads it, and what is understood prints and reads back to the
// same. Method: libFuzzer's bytes are a configuration file.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t print_text(const struct config *config, char *out, size_t room)
{
    FILE *file = tmpfile();
    size_t size;

    CHECK(file != NULL);
    config_print(config, file);
    rewind(file);
    size = fread(out, 1, room, file);
    fclose(file);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char first[64 * 1024], second[64 * 1024];
    static struct config config;
    struct config_error error = {{0}};
    size_t printed;

    config_init(&config);
    if (config_load_text(&config, "fuzz", data, size, &error) != 0) {
        CHECK(strlen(error.text) > strlen("fuzz"));
        return 0;
    }
    printed = print_text(&config, first, sizeof(first));
    config_init(&config);
    CHECK(config_load_text(&config, "printed", first, printed, &error) == 0);
    CHECK(print_text(&config, second, sizeof(second)) == printed);
    CHECK(memcmp(first, second, printed) == 0);
    return 0;
}
