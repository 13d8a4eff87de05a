// What a world of migrations knows of its keys. An object is one key: its value is one of a list of
// versions, made by writes that touch it only where it is. A node of its own, the reference, runs
// each write that was answered, so that the digest of every version is known. An object that was
// lost track of gets a new name and begins anew; copies under old names must still be whole.
#ifndef WHERRY_TESTS_WORLD_OBJECTS_H
#define WHERRY_TESTS_WORLD_OBJECTS_H

#include "proto/command_line.h"
#include "proto/reader.h"
#include "sim/world/world.h"

enum { OBJECTS_MAX = 24, OBJECT_NAME_BYTES = 32, OBJECT_DBS = 2, OBJECT_SIDES = 3 };

struct object {
    int index, incarnation, type;
    bool large;
    bool alive;           // made, and nobody has deleted it
    bool busy;            // a write is under way
    bool mortal;          // it may expire at any time
    bool maybe_both;      // a copy was asked for, or an acknowledgement may have been lost
    bool loose;           // which version is where is not known any more
    bool maybe_lost;      // a node that may have had it has lost its memory
    int home;             // which of the nodes has it, as far as was answered
    int db[OBJECT_SIDES]; // at each node
    int renames;
    uint64_t elements;    // how many were made
    uint64_t left, taken; // of sets and hashes: elements from `taken` on are left
    uint64_t *history;
    size_t versions, cap;
    char name[OBJECT_NAME_BYTES];
};

struct objects {
    struct world *w;
    struct member *reference;
    struct client *writer; // of the reference
    struct object all[OBJECTS_MAX];
    int count;
};

void objects_begin(struct objects *o, struct world *w, struct member *reference, int count);
void objects_end(struct objects *o);
void object_renew(struct objects *o, struct object *x); // a new name, not made yet

// Makes it at the reference, and puts down the command that makes it elsewhere.
void object_make(struct objects *o, struct object *x, struct buf *words);
// Puts down a command that changes it where it is, and does nothing where it is not. *kind tells
// object_read_answer what to look for. False: there is too little left of it.
bool object_write(struct objects *o, struct object *x, struct buf *words, int *kind);
void object_rename(struct objects *o, struct object *x, struct buf *words, int *kind);
void object_renamed(struct object *x); // it was
// A command whose one %s is its name. `payload`: the answer is a string.
void object_simple(struct object *x, const char *format, bool payload, struct buf *words,
                   int *kind);
int object_made_kind(const struct object *x, struct bytes words);
void object_forget(struct objects *o, struct object *x); // the reference drops it
void object_pop(struct objects *o, struct object *x, struct buf *words, int *kind); // of a list
// Runs the words at the reference too; then what it has is a version.
void object_apply(struct objects *o, struct bytes words);
void object_version(struct objects *o, struct object *x);
void object_add_version(struct object *x, uint64_t digest);

enum object_answer { ANSWER_DONE, ANSWER_MISSING, ANSWER_REFUSED };
enum object_answer object_read_answer(int kind, const struct reader_value *reply);

struct object *object_of_key(struct objects *o, struct bytes key); // NULL: of nobody
bool object_has_version(const struct object *x, uint64_t digest);
uint64_t object_newest(const struct object *x);

#endif
