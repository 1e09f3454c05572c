// Goal: a worker is not trusted: one of another version or another node is refused, one that breaks
// the protocol loses its link, and the gateway and all honest sessions live on. Method: nodes with
// a worker that speaks the link protocol by itself and lies when asked to.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "live.h"
#include "peer.h"

// The next worker gets the same frame, and lies again: to the gateway that frame is poison.
static void lie_that_is_repeated_costs_its_session_only(void **state)
{
    static const char *const lies[] = {"lie session", "lie epoch", "lie sequence",
                                       "lie early",   "lie bytes", "lie kind"};
    const char *options[] = {"--workers.command=e2e-raw lies", "--gateway.frame=line",
                             "--workers.count=1", NULL};
    struct live live;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_COUNT(lies); i++) {
        struct peer peer;

        live_start(&live, options);
        peer_open(&peer, &live.listen, "line");
        peer_echo(&peer, "an honest word");
        peer_send_text(&peer, lies[i]);
        peer_wait_closed(&peer);
        assert_int_equal(peer.frames, 1);
        assert_true(live_log_has(&live, "poisoned input"));
        peer_drop(&peer);
        peer_wait_service(&live.listen, "line"); // its successor
        assert_true(os_resident_bytes(live.gateway) > 0);
        live_stop(&live);
    }
}

// The right answer counts, the wrong one behind it costs the link.
static void lie_behind_an_answer_costs_the_link_only(void **state)
{
    const char *options[] = {"--workers.command=e2e-raw lies", "--gateway.frame=line",
                             "--workers.count=1", NULL};
    struct live live;
    struct peer peer;

    (void)state;
    live_start(&live, options);
    peer_open(&peer, &live.listen, "line");
    peer_echo(&peer, "lie twice");
    live_wait_log(&live, "it committed what was not next");
    peer_echo(&peer, "and now");
    assert_int_equal(peer.frames, 2);
    peer_finish(&peer);
    live_stop(&live);
}

static void clients_of_honest_workers_do_not_notice_a_lie(void **state)
{
    enum { PEERS = 6 };
    const char *options[] = {"--workers.command=e2e-raw lies", "--gateway.frame=line",
                             "--workers.count=3", NULL};
    struct live live;
    struct peer peers[PEERS];
    size_t i;

    (void)state;
    live_start(&live, options);
    for (i = 0; i < PEERS; i++) {
        peer_open(&peers[i], &live.listen, "line");
        peer_echo(&peers[i], "an honest word");
    }
    peer_send_text(&peers[0], "lie bytes");
    peer_wait_closed(&peers[0]);
    peer_drop(&peers[0]);
    for (i = 1; i < PEERS; i++) {
        peer_echo(&peers[i], "and now");
        peer_finish(&peers[i]);
    }
    live_stop(&live);
}

// Refused for good: the node does not start, and says why in its log and on standard error.
static void refused(const char *mode, const char *why)
{
    char command[64], error[8192], runtime_dir[OS_PATH_MAX + 32], folder[OS_PATH_MAX];
    const char *arguments[] = {"troupe",
                               "up",
                               command,
                               "--workers.count=1",
                               runtime_dir,
                               "--gateway.listen=127.0.0.1:0",
                               "--node.name=e2e-refused",
                               NULL};
    int code;

    snprintf(command, sizeof command, "--workers.command=e2e-raw %s", mode);
    assert_int_equal(os_program_folder(folder), 0);
    snprintf(runtime_dir, sizeof runtime_dir, "--node.runtime_dir=%.900s/e2e", folder);
    code = run_to_end(arguments, error, sizeof error);
    if (code != 1 || !strstr(error, why) || !strstr(error, "ended during start"))
        fail_msg("exit code %d: %s", code, error);
}

static void worker_of_another_version_is_refused(void **state)
{
    (void)state;
    refused("version", "protocol 2");
}

static void worker_of_another_node_is_refused(void **state)
{
    (void)state;
    refused("token", "another node");
}

static void worker_that_exits_at_once_ends_the_start(void **state)
{
    char error[16384], runtime_dir[OS_PATH_MAX + 32], folder[OS_PATH_MAX];
    const char *arguments[] = {"troupe",
                               "up",
                               "--workers.command=e2e-exits",
                               "--workers.count=1",
                               runtime_dir,
                               "--gateway.listen=127.0.0.1:0",
                               "--node.name=e2e-exits",
                               NULL};
    int code;

    (void)state;
    assert_int_equal(os_program_folder(folder), 0);
    snprintf(runtime_dir, sizeof runtime_dir, "--node.runtime_dir=%.900s/e2e", folder);
    code = run_to_end(arguments, error, sizeof error);
    if (code != 1 || !strstr(error, "exit code 3"))
        fail_msg("exit code %d: %s", code, error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lie_that_is_repeated_costs_its_session_only),
        cmocka_unit_test(lie_behind_an_answer_costs_the_link_only),
        cmocka_unit_test(clients_of_honest_workers_do_not_notice_a_lie),
        cmocka_unit_test(worker_of_another_version_is_refused),
        cmocka_unit_test(worker_of_another_node_is_refused),
        cmocka_unit_test(worker_that_exits_at_once_ends_the_start),
    };

    os_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
