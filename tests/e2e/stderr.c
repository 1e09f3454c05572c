// e2e-stderr FILE PROGRAM [ARGUMENTS]: runs a program of the bin folder with its standard error in
// FILE and ends with its exit code. A test sees so what a program says when it does not start.
#include <stdio.h>
#include <string.h>

#include "os.h"
#include "port.h"
#include "process.h"

struct relay {
    struct port *port;
    struct port_op exited;
    int code;
    bool over;
};

static void relay_line(void *owner, const char *text)
{
    char line[PROCESS_LINE_MAX + 2];
    int size = snprintf(line, sizeof line, "%s\n", text);

    (void)owner;
    os_write_stdout(line, (size_t)size);
}

static void exited_done(struct port_op *op)
{
    container_of(op, struct relay, exited)->over = true;
}

static void relay_exited(void *owner, const struct process_exit *how)
{
    struct relay *relay = owner;

    relay->code = how->code;
    relay->exited.done = exited_done;
    port_post(relay->port, &relay->exited);
}

int main(int argc, char **argv)
{
    static char program[OS_PATH_MAX];
    struct relay relay = {0};
    struct process_config config = {
        .arguments = (const char *const *)argv + 2,
        .line = relay_line,
        .exited = relay_exited,
        .owner = &relay,
    };
    struct process *process;

    os_init();
    if (argc < 3 || os_find_program(argv[2], program) < 0)
        return 99;
    argv[2] = program;
    if (port_create(&relay.port, &(struct port_config){.op_count_max = 1}) < 0)
        return 99;
    if (!freopen(argv[1], "w", stderr) || process_start(&process, &config) < 0)
        return 99;
    while (!relay.over)
        port_poll(relay.port, -1);
    process_destroy(process);
    port_destroy(relay.port);
    return relay.code;
}
