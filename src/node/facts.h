// What COMMAND tells about each command beyond the row it runs by: for clients that route by it.
//
// Source: COMMAND INFO and COMMAND DOCS of Redis 7.0.15.
#ifndef WHERRY_NODE_FACTS_H
#define WHERRY_NODE_FACTS_H

struct command_facts {
    const char *name; // in full: "config|set"
    const char *group, *since;
    const char *tips; // separated by spaces; NULL: none
    // Key specifications, separated by bars; NULL: none. Each has, separated by spaces, where to
    // begin ("i<index>", "k<keyword>,<start>" or "?"), which are keys from there on
    // ("r<last>,<step>,<limit>", "n<index of count>,<first>,<step>" or "?"), and flags.
    const char *specs;
};

// NULL: not a command of Redis.
const struct command_facts *command_facts(const char *full_name);

#endif
