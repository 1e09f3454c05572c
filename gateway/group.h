// group.h - named sets of members, found from both sides.
// Floor 1. Pure.
//
//   1. struct groups groups = {0}; each member has a list of its own, list_init()ed
//   2. groups_join(), groups_leave(); groups_leave_all() when a member ends
//   3. groups_first() and groups_next() walk the members of a group, in the order in which they
//   joined
//   4. groups_fini() when nobody is a member of anything
//
// A group exists while it has members.
#ifndef TROUPE_GROUP_H
#define TROUPE_GROUP_H

#include "base.h"

enum { GROUP_NAME_MAX = 64 }; // bytes

struct group;

struct groups {
    struct group *by_name; // a hash table
};

struct membership {
    struct group *group;
    void *member;
    struct list of_group;
    struct list of_member;
};

// 1: it is a member now; 0: it was one already; -ENOMEM; -EINVAL for an empty name or one above
// GROUP_NAME_MAX.
int groups_join(struct groups *groups, struct bytes name, void *member, struct list *memberships);

// 1: it is no member any more; 0: it was none.
int groups_leave(struct groups *groups, struct bytes name, struct list *memberships);
void groups_leave_all(struct groups *groups, struct list *memberships);

// NULL when there is no such group. Members may leave while they are walked only if the next one
// was asked for before.
struct membership *groups_first(const struct groups *groups, struct bytes name);
struct membership *groups_next(const struct membership *membership);

void groups_fini(const struct groups *groups); // checks that none is left

#endif
