// base.h - the few words that every file speaks: checks, slices, intrusive lists, error texts.
// Floor 0.
//
// CHECK is for wrong programs (always on, aborts); wrong input is an error value. Functions return
// 0 or a negative errno ("-ECONNRESET"), on both systems the names of <errno.h>.
#ifndef TROUPE_BASE_H
#define TROUPE_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECK(condition) ((condition) ? (void)0 : base_check_failed(#condition, __FILE__, __LINE__))

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#if defined(__GNUC__)
#define BASE_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define BASE_PRINTF(text, first)
#endif

// Bytes that somebody else owns.
struct bytes {
    const uint8_t *data; // may be NULL when size is 0
    size_t size;
};

// An intrusive, circular, doubly linked list. A head is a node that is in no other list; a node in
// no list points to itself, so that removing it twice is harmless.
struct list {
    struct list *next;
    struct list *previous;
};

static inline void list_init(struct list *head)
{
    head->next = head;
    head->previous = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_remove(struct list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

static inline void list_push(struct list *head, struct list *node) // at the tail
{
    node->previous = head->previous;
    node->next = head;
    head->previous->next = node;
    head->previous = node;
}

static inline struct list *list_pop(struct list *head) // from the front; NULL when empty
{
    struct list *node = head->next;

    if (node == head)
        return NULL;
    list_remove(node);
    return node;
}

// Moves all of `from` to the tail of `to`; `from` is empty afterwards.
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

// Says what failed on stderr and aborts. Any thread.
_Noreturn void base_check_failed(const char *condition, const char *file, int line);

// A short lower-case text for 0 or a negative errno ("connection reset by peer"); never NULL. The
// texts are ours, because the Windows runtime has none for the socket errors. Any thread.
const char *error_text(int error);

// Bytes of the printable UTF-8 character that text begins with; 0 when it begins with none: a
// control, a line end of any kind, an invisible or a malformed one. Any thread.
size_t text_printable(const char *text, size_t size);

#endif
