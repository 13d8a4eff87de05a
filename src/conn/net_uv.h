// The real network: tcp over IPv4 and IPv6, and unix sockets, on a libuv loop.
#ifndef WHERRY_CONN_NET_UV_H
#define WHERRY_CONN_NET_UV_H

#include "conn/conn.h"

struct net_uv_options {
    int keepalive_s; // TCP keepalive: idle time; 0: off
    int read_bytes;  // most bytes in one `bytes` event; 0: 64 KiB
};

// `loop` must come from loop_uv_new and outlive the network.
struct network *net_uv_new(struct loop *loop, struct log *log);
void net_uv_set_options(struct network *net, const struct net_uv_options *options);
// Ends what is still there: conns get `closed` (ERROR_CANCELLED), those of a layer when the loop
// next runs its tasks, at the latest in loop_free. So owners outlive the loop, or close first.
void net_uv_free(struct network *net);
// How many conns there are (clients, links, handshakes).
size_t net_uv_conns(const struct network *net);

// A conn over a stream socket that somebody else made; takes the descriptor over. `opened` follows.
struct conn *net_uv_adopt(struct network *net, int fd, const struct conn_events *events,
                          void *owner);

#endif
