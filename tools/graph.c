// Draws the machines' tables: `graph` names the machines, `graph NAME` writes one for graphviz.
//
// A box is a state with the deadline that governs it. A dashed arrow goes past a state that is
// skipped when it isn't needed. States that nearly every other may end in are named in the boxes
// instead of being drawn as a thicket of arrows.
#include "conn/tls_internal.h"
#include "migrate/migrate.h"
#include "repl/primary.h"
#include "repl/replica.h"

#include <stdio.h>
#include <string.h>

static const struct drawing {
    const char *name, *title;
    const struct machine_type *type;
} drawings[] = {
    {"replica", "A replica's link to its primary: src/repl/replica.c", &replica_machine},
    {"replica-link", "A primary's link to one replica: src/repl/primary.c", &replica_link_machine},
    {"migrate", "A source's link to a target of MIGRATE: src/migrate/migrate.c", &migrate_machine},
    {"tls", "A TLS connection, either end: src/conn/tls_conn.c", &tls_machine},
};
enum { DRAWINGS = sizeof(drawings) / sizeof(drawings[0]) };

// Most states lead there.
static bool common(const struct machine_type *type, int state)
{
    int from = 0, all = 0;
    for (int i = 0; i < type->count; i++) {
        if (i == type->final || i == state) continue;
        all++;
        from += (type->states[i].next & TO(state)) != 0;
    }
    return state == type->final || from * 4 >= all * 3;
}

static void draw_state(const struct machine_type *type, int state)
{
    const struct machine_state *s = &type->states[state];
    printf("  %d [label=<<b>%s</b>", state, s->name);
    if (s->deadline != DEADLINE_NONE)
        printf("<br/><font point-size=\"10\" color=\"#9a3412\">deadline: %s</font>",
               deadline_kind_name(s->deadline));
    bool first = true;
    for (int to = 0; to < type->count; to++) {
        if (!(s->next & TO(to)) || !common(type, to)) continue;
        printf("%s%s", first ? "<br/><font point-size=\"10\" color=\"#475569\">or " : ", ",
               type->states[to].name);
        first = false;
    }
    printf("%s>%s];\n", first ? "" : "</font>", state == type->final ? ", peripheries=2" : "");
}

static void draw(const struct drawing *d)
{
    const struct machine_type *type = d->type;
    printf("digraph \"%s\" {\n"
           "  label=\"%s\"; labelloc=t; fontname=\"sans-serif\"; fontsize=14; rankdir=TB;\n"
           "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f8fafc\", "
           "color=\"#334155\", fontname=\"sans-serif\", fontsize=12];\n"
           "  edge [color=\"#334155\", arrowsize=0.7];\n",
           d->name, d->title);
    for (int i = 0; i < type->count; i++)
        draw_state(type, i);
    for (int i = 0; i < type->count; i++) {
        for (int to = 0; to < type->count; to++)
            if ((type->states[i].next & TO(to)) && !common(type, to))
                printf("  %d -> %d;\n", i, to);
        if (type->states[i].skip != NULL)
            printf("  %d -> %d [style=dashed, constraint=false];\n", i, type->states[i].skip_to);
    }
    printf("}\n");
}

int main(int argc, char **argv)
{
    for (int i = 0; i < DRAWINGS; i++) {
        if (argc < 2) {
            puts(drawings[i].name);
        } else if (strcmp(argv[1], drawings[i].name) == 0) {
            draw(&drawings[i]);
            return 0;
        }
    }
    if (argc < 2) return 0;
    fprintf(stderr, "graph: no machine is called %s\n", argv[1]);
    return 1;
}
