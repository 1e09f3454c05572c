#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "scene.h"

struct rig_client clients[CLIENTS];
struct rig_worker workers[WORKERS];

int scene_start(void **state)
{
    (void)state;
    memset(workers, 0, sizeof(workers));
    for (uint32_t i = 0; i < WORKERS; i++)
        workers[i].number = i;
    rig_router_start(&(struct rig_config){.seed = 1});
    return 0;
}

int scene_end(void **state)
{
    (void)state;
    for (int i = 0; i < CLIENTS; i++)
        if (clients[i].conn.port != NULL)
            conn_abort(&clients[i].conn);
    for (int i = 0; i < WORKERS; i++)
        rig_worker_close(&workers[i]);
    rig_router_end();
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i].conn.port != NULL)
            assert_int_equal(clients[i].closed, 1);
        rig_client_free(&clients[i]);
    }
    return 0;
}

void dial(int worker)
{
    rig_worker_dial(&workers[worker]);
    rig_settle();
    assert_int_equal(workers[worker].state, RIG_WORKER_UP);
}

void connect_client(int client)
{
    rig_connect(&clients[client]);
    rig_settle();
}

void send_text(int client, const char *text)
{
    rig_send_frame(&clients[client], rig_text(text));
    rig_settle();
}

void echo(int worker)
{
    do {
        rig_worker_echo(&workers[worker]);
        rig_settle();
    } while (workers[worker].count > 0);
}

void commit(int worker)
{
    rig_worker_commit(&workers[worker], NULL, 0, false);
    rig_settle();
}

// The worker's oldest input, then committed without effects.
void takes(int worker, enum envelope_kind kind, const char *text)
{
    struct rig_input *input = rig_worker_next(&workers[worker]);

    assert_non_null(input);
    assert_string_equal(envelope_kind_text(input->kind), envelope_kind_text(kind));
    if (kind == ENVELOPE_FRAME) {
        assert_int_equal(buffer_size(&input->payload), strlen(text));
        assert_memory_equal(buffer_data(&input->payload), text, strlen(text));
    } else if (text != NULL) {
        assert_string_equal(input->text, text);
    }
    commit(worker);
}

void takes_nothing(int worker)
{
    assert_int_equal(workers[worker].count, 0);
}

bool has(int client, const char *framed, size_t size)
{
    return buffer_size(&clients[client].received) == size &&
           memcmp(buffer_data(&clients[client].received), framed, size) == 0;
}
