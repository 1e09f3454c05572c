#include <stdlib.h>
#include <string.h>

// Out of memory is an error value here, not the end of the process.
#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->hashed = false)
#include <uthash.h>

#include "group.h"

struct group {
    UT_hash_handle hh;
    struct list members; // memberships
    bool hashed;
    size_t name_size;
    char name[GROUP_NAME_MAX];
};

static struct group *groups_find(const struct groups *groups, struct bytes name)
{
    struct group *group = NULL;

    if (name.size > 0 && name.size <= GROUP_NAME_MAX)
        HASH_FIND(hh, groups->by_name, name.data, name.size, group);
    return group;
}

static struct group *groups_make(struct groups *groups, struct bytes name)
{
    struct group *group = calloc(1, sizeof(*group));

    if (group == NULL)
        return NULL;
    list_init(&group->members);
    group->hashed = true;
    group->name_size = name.size;
    memcpy(group->name, name.data, name.size);
    HASH_ADD_KEYPTR(hh, groups->by_name, group->name, group->name_size, group);
    if (group->hashed)
        return group;
    free(group);
    return NULL;
}

static void groups_drop_if_empty(struct groups *groups, struct group *group)
{
    if (!list_empty(&group->members))
        return;
    // The analyzer does not know that a group that is there has a table.
    HASH_DEL(groups->by_name, group); // NOLINT(clang-analyzer-core.NullDereference)
    free(group);
}

static struct membership *groups_membership(const struct group *group, const struct list *of_member)
{
    for (struct list *node = of_member->next; node != of_member; node = node->next) {
        struct membership *membership = container_of(node, struct membership, of_member);

        if (membership->group == group)
            return membership;
    }
    return NULL;
}

static void groups_end(struct groups *groups, struct membership *membership)
{
    struct group *group = membership->group;

    list_remove(&membership->of_group);
    list_remove(&membership->of_member);
    free(membership);
    groups_drop_if_empty(groups, group);
}

int groups_join(struct groups *groups, struct bytes name, void *member, struct list *memberships)
{
    struct group *group = groups_find(groups, name);
    struct membership *membership;

    if (name.size == 0 || name.size > GROUP_NAME_MAX)
        return -EINVAL;
    if (group != NULL && groups_membership(group, memberships) != NULL)
        return 0;
    if (group == NULL)
        group = groups_make(groups, name);
    if (group == NULL)
        return -ENOMEM;
    membership = calloc(1, sizeof(*membership));
    if (membership == NULL) {
        groups_drop_if_empty(groups, group);
        return -ENOMEM;
    }
    membership->group = group;
    membership->member = member;
    list_push(&group->members, &membership->of_group);
    list_push(memberships, &membership->of_member);
    return 1;
}

int groups_leave(struct groups *groups, struct bytes name, struct list *memberships)
{
    struct group *group = groups_find(groups, name);
    struct membership *membership;

    membership = group == NULL ? NULL : groups_membership(group, memberships);
    if (membership == NULL)
        return 0;
    groups_end(groups, membership);
    return 1;
}

void groups_leave_all(struct groups *groups, struct list *memberships)
{
    while (!list_empty(memberships))
        groups_end(groups, container_of(memberships->next, struct membership, of_member));
}

struct membership *groups_first(const struct groups *groups, struct bytes name)
{
    struct group *group = groups_find(groups, name);

    return group == NULL ? NULL : container_of(group->members.next, struct membership, of_group);
}

struct membership *groups_next(const struct membership *membership)
{
    struct list *next = membership->of_group.next;

    return next == &membership->group->members ? NULL
                                               : container_of(next, struct membership, of_group);
}

void groups_fini(const struct groups *groups)
{
    CHECK(groups->by_name == NULL);
}
