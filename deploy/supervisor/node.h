// node.h - the running node: starts gateway and workers, keeps them alive, stops them in order.
// Floor 4.
//
//   1. node_create() on the main thread, before any other thread starts
//   2. node_run(): returns the program's exit code when nothing of the node runs any more
//
// The gateway starts first; when it accepts clients, all workers start; when they are ready, one
// `ready: ` line goes to standard output. Stop: the gateway, then the workers, each asked first and
// killed after half of node.stop_timeout_ms; a second stop signal kills at once.
#ifndef TROUPE_NODE_H
#define TROUPE_NODE_H

#include "base.h"
#include "config.h"
#include "plan.h"

struct node;

// Makes the runtime folder and takes the node's lock; stop signals are heard from here on. Config
// and plan stay the caller's, as long as the process lives. 0, or a negative errno that has been
// logged. A node is never destroyed: its port must outlive the thread of the stop signal.
int node_create(struct node **out_node, const struct config *config, struct plan *plan);

// 0: an orderly stop. 1: the start failed, or something had to be killed at the stop.
int node_run(struct node *node);

#endif
