// SCAN, HSCAN, SSCAN and ZSCAN: the arguments they share, and the reply they all give.
//
//     struct scan scan;
//     if (!scan_parse(c, first, SCAN_ELEMENTS, &scan)) return;
//     ...
//     do
//         scan.cursor = hash_scan(&e->value, scan.cursor, visit, &scan);
//     while (scan_more(&scan));
//     scan_reply(&scan);
//
// where `visit` calls scan_seen for each element and, when that says true, scan_emit for the
// strings that stand for it.
#ifndef WHERRY_COMMAND_SCAN_H
#define WHERRY_COMMAND_SCAN_H

#include "node/command.h"

enum scan_kind { SCAN_KEYS, SCAN_ELEMENTS }; // only SCAN_KEYS takes TYPE

struct scan {
    struct ctx *c;
    uint64_t cursor;
    uint64_t count;       // COUNT: about how many elements to visit
    struct bytes pattern; // MATCH; data NULL: everything
    struct bytes type;    // TYPE; data NULL: any
    uint64_t seen;        // elements visited
    uint64_t rounds_left; // calls of the structure's scan that are left
    struct chain body;    // what was emitted
    uint64_t emitted;     // strings in it
    struct reply aside;   // writes to body
};

// Reads the cursor at `index` and the options behind it. False: the error was replied.
bool scan_parse(struct ctx *c, int index, enum scan_kind kind, struct scan *scan);
// The cursor alone: an SCAN variant answers a bad one before it looks for the key.
bool scan_parse_cursor(struct ctx *c, int index, uint64_t *cursor);
// Counts an element; true when its name matches the pattern.
bool scan_seen(struct scan *scan, struct bytes name);
void scan_emit(struct scan *scan, struct bytes text);
bool scan_more(struct scan *scan);    // after a step: another one?
void scan_reply(struct scan *scan);   // cursor and elements; the scan is over
void scan_reply_empty(struct ctx *c); // for a key that is not there

#endif
