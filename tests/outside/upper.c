// upper.c - a worker of somebody else: answers each frame in capitals.
#include <troupe/actor.h>

#include <stdlib.h>

static void frame(struct troupe_turn *turn, void *state, const void *data, size_t size)
{
    const char *text = data;
    char *answer = malloc(size + 1);

    (void)state;
    if (answer == NULL)
        return;
    for (size_t i = 0; i < size; i++)
        answer[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' + 'A' : text[i]);
    (void)troupe_reply(turn, answer, size);
    free(answer);
}

static const struct troupe_actor upper = {.name = "upper", .version = "1", .frame = frame};

int main(int argc, char **argv)
{
    return troupe_worker_main(argc, argv, &upper);
}
