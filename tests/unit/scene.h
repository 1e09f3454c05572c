// scene.h - the words of the router's tests: clients and workers by number on the router's rig.
// Floor 4.
#ifndef TROUPE_SCENE_H
#define TROUPE_SCENE_H

#include "rig_router.h"

enum { CLIENTS = 16, WORKERS = 4 };

extern struct rig_client clients[CLIENTS];
extern struct rig_worker workers[WORKERS];

// cmocka's set-up and tear-down; the latter checks that nothing is left.
int scene_start(void **state);
int scene_end(void **state);

// Each settles before it returns.
void dial(int worker); // and is up
void connect_client(int client);
void send_text(int client, const char *text);
void echo(int worker);   // all that it has, and what that brings
void commit(int worker); // its oldest input, without effects

// The worker's oldest input is this one (text NULL: whatever it says); then it is committed.
void takes(int worker, enum envelope_kind kind, const char *text);
void takes_nothing(int worker);

// All that the client has received.
bool has(int client, const char *framed, size_t size);

#endif
