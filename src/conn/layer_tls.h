// TLS as an entry among a network's layers: what `tls` in a target or a listener stands for. Left
// out of a build with TLS=no; such targets then fail rather than go in the clear.
#ifndef WHERRY_CONN_LAYER_TLS_H
#define WHERRY_CONN_LAYER_TLS_H

#include "conn/conn.h"
#include "conn/tls.h"

// Takes a reference to `context` of its own. At any time: conns that exist keep the context they
// started with. NULL takes TLS out of service.
void net_set_tls(struct network *net, struct tls_context *context);

#endif
