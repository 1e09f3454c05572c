// The one command: troupe up | check | deadletters | version | help.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "deadletters.h"
#include "log.h"
#include "node.h"
#include "os.h"
#include "setup.h"

enum { EXIT_USAGE = 2 };

static void print_configuration_help(void)
{
    printf("\n"
           "configuration:\n"
           "  --config FILE          a YAML file; without it every key has its default, also when\n"
           "                         a troupe.yaml lies in the current folder\n"
           "  --section.key=value    sets one key, after the file; the last one counts\n"
           "\n");
    config_print_keys(stdout);
}

static void print_help(void)
{
    printf("usage: troupe COMMAND [--config FILE] [--section.key=value ...]\n"
           "\n"
           "  up         start a node here: a gateway and its workers; runs until Ctrl-C or\n"
           "             SIGTERM (twice: kill at once) and prints, once all is ready,\n"
           "             ready: listen=ADDRESS:PORT workers=N pid=GATEWAY_PID\n"
           "  check      say what is wrong with a configuration, or print what results\n"
           "  deadletters\n"
           "             list or show the inputs that ended one worker after another\n"
           "  version    print the version\n"
           "  help       print this\n"
           "\n"
           "exit code: 0 success, 1 failure at run time, 2 wrong usage or configuration\n");
    print_configuration_help();
}

static void print_up_help(void)
{
    printf("usage: troupe up [--config FILE] [--section.key=value ...]\n"
           "\n"
           "Starts the gateway, waits until it accepts clients, starts the workers, and keeps all\n"
           "of them running: what dies is started again. Ctrl-C or SIGTERM stops the gateway and\n"
           "then the workers; a second one kills what is left.\n"
           "\n"
           "exit code: 0 after an orderly stop; 1 when the start failed or something had to be\n"
           "killed at the stop; 2 wrong usage or configuration, nothing was started\n");
    print_configuration_help();
}

static void print_check_help(void)
{
    printf("usage: troupe check [--config FILE] [--section.key=value ...]\n"
           "\n"
           "Checks a configuration as `troupe up` does before it starts anything, and prints the\n"
           "result as a configuration file, with the processes of the node as comments.\n"
           "\n"
           "exit code: 0 it is right; 2 it is not\n");
    print_configuration_help();
}

static void print_deadletters_help(void)
{
    printf("usage: troupe deadletters [--config FILE] [--section.key=value ...]\n"
           "                          [--show N] [--json]\n"
           "\n"
           "Lists the inputs that ended gateway.poison_strikes workers, each with the number of\n"
           "its line in the node's file, node.runtime_dir/NAME.deadletters. Whether the node runs\n"
           "does not matter. To start afresh, move the file away; that, too, may be done at any\n"
           "time. A line that is damaged is named on standard error and skipped.\n"
           "\n"
           "  --show N    the one in line N, whole\n"
           "  --json      all of it as a JSON array, payloads in hexadecimal digits\n"
           "\n"
           "exit code: 0 success, also when there are none; 1 the file cannot be read, or there\n"
           "is no line N; 2 wrong usage or configuration\n");
    print_configuration_help();
}

static int setup_or_exit_code(struct setup *setup, int count, char **arguments)
{
    struct setup_error error = {{0}};
    int rc = setup_create(setup, count, arguments, &error);

    if (rc == 0)
        return 0;
    fprintf(stderr, "troupe: %s\n", error.text);
    return rc == -ENOMEM ? EXIT_FAILURE : EXIT_USAGE;
}

static int command_check(int count, char **arguments)
{
    struct setup setup;
    int rc = setup_or_exit_code(&setup, count, arguments);

    if (rc != 0)
        return rc;
    config_print(&setup.config, stdout);
    plan_print(&setup.plan, stdout);
    setup_destroy(&setup);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "troupe: cannot write to standard output\n");
        return EXIT_FAILURE;
    }
    return 0;
}

static int command_up(int count, char **arguments)
{
    // The node's, which lives until the process ends.
    static struct setup setup;
    static struct node *node;
    int rc = setup_or_exit_code(&setup, count, arguments);

    if (rc != 0)
        return rc;
    rc = log_init(&(struct log_config){.program = "supervisor",
                                       .level = setup.config.node.log_level,
                                       .file = setup.config.node.log_file});
    if (rc < 0) {
        fprintf(stderr, "troupe: cannot open node.log_file '%s': %s, using standard error\n",
                setup.config.node.log_file, error_text(rc));
        setup.config.node.log_file[0] = '\0';
    }
    rc = node_create(&node, &setup.config, &setup.plan);
    rc = rc < 0 ? EXIT_FAILURE : node_run(node);
    log_fini();
    return rc;
}

static int command_version(int count, char **arguments)
{
    (void)arguments;
    if (count > 1) {
        fprintf(stderr, "troupe: 'version' takes no arguments\n");
        return EXIT_USAGE;
    }
    printf("troupe %s\n", TROUPE_VERSION);
    return 0;
}

static int command_help(int count, char **arguments)
{
    (void)count;
    (void)arguments;
    print_help();
    return 0;
}

static const struct command {
    const char *name;
    int (*run)(int count, char **arguments); // arguments[0] is the command's name
    void (*help)(void);
} commands[] = {
    {"up", command_up, print_up_help},
    {"check", command_check, print_check_help},
    {"deadletters", deadletters_command, print_deadletters_help},
    {"version", command_version, print_help},
    {"help", command_help, print_help},
    {"--version", command_version, print_help},
    {"-V", command_version, print_help},
    {"--help", command_help, print_help},
    {"-h", command_help, print_help},
};

static bool asks_for_help(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0)
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    os_init();
    if (argc < 2) {
        fprintf(stderr, "troupe: no command, try 'troupe help'\n");
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        if (asks_for_help(argc - 1, argv + 1)) {
            commands[i].help();
            return 0;
        }
        return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "troupe: unknown command '%s', try 'troupe help'\n", argv[1]);
    return EXIT_USAGE;
}
