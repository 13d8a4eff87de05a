// How sinks learn that their snapshot is over: later, from a task, so that no sink is called from
// inside a command, a flush or a cancelling.
#include "store/internal.h"
#include "store/snapshot.h"

#include "base/mem.h"

struct ending {
    struct list link;
    struct task task;
    struct list sinks;
    struct error error;
};

static void ending_run(struct task *task)
{
    struct ending *ending = list_entry(task, struct ending, task);
    list_remove(&ending->link);
    struct list *link;
    while ((link = list_pop_front(&ending->sinks)) != NULL) {
        struct snapshot_sink *sink = list_entry(link, struct snapshot_sink, link);
        sink->end(sink, &ending->error);
    }
    mem_free(ending);
}

void sinks_end(struct store *s, struct list *sinks, const struct error *error)
{
    if (list_empty(sinks)) return;
    struct ending *ending = mem_new(struct ending);
    list_init(&ending->sinks);
    list_splice_back(&ending->sinks, sinks);
    ending->error = *error;
    task_init(&ending->task, ending_run);
    list_push_back(&s->endings, &ending->link);
    loop_defer(s->loop, &ending->task);
}

void endings_free(struct store *s)
{
    struct list *link;
    while ((link = list_pop_front(&s->endings)) != NULL) {
        struct ending *ending = list_entry(link, struct ending, link);
        while (list_pop_front(&ending->sinks) != NULL)
            ;
        task_cancel(&ending->task);
        mem_free(ending);
    }
}
