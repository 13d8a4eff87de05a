// Keyspace event classes: the letters of notify-keyspace-events (Redis 7.0 "Keyspace
// notifications").
#ifndef WHERRY_NODE_NOTIFY_H
#define WHERRY_NODE_NOTIFY_H

enum notify_flag {
    NOTIFY_KEYSPACE = 1 << 0,  // K
    NOTIFY_KEYEVENT = 1 << 1,  // E
    NOTIFY_GENERIC = 1 << 2,   // g
    NOTIFY_STRING = 1 << 3,    // $
    NOTIFY_LIST = 1 << 4,      // l
    NOTIFY_SET = 1 << 5,       // s
    NOTIFY_HASH = 1 << 6,      // h
    NOTIFY_ZSET = 1 << 7,      // z
    NOTIFY_EXPIRED = 1 << 8,   // x
    NOTIFY_EVICTED = 1 << 9,   // e
    NOTIFY_STREAM = 1 << 10,   // t
    NOTIFY_KEY_MISS = 1 << 11, // m
    NOTIFY_MODULE = 1 << 13,   // d
    NOTIFY_NEW = 1 << 14,      // n
    NOTIFY_ALL = NOTIFY_GENERIC | NOTIFY_STRING | NOTIFY_LIST | NOTIFY_SET | NOTIFY_HASH |
                 NOTIFY_ZSET | NOTIFY_EXPIRED | NOTIFY_EVICTED | NOTIFY_STREAM | NOTIFY_MODULE, // A
};

#endif
