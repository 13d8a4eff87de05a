// Socket addresses from text and as text.
#include "conn/net_uv_impl.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static bool from_path(struct socket_address *a, const char *path)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&a->storage;
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(un->sun_path)) return false;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, len + 1);
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    return true;
}

bool socket_address_from(struct socket_address *a, const char *host, int port)
{
    *a = (struct socket_address){0};
    if (port == 0) return from_path(a, host);
    if (strcmp(host, "*") == 0) host = "0.0.0.0";
    if (strcmp(host, "::*") == 0) host = "::";
    struct sockaddr_in *in = (struct sockaddr_in *)&a->storage;
    if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        a->len = sizeof(*in);
        return true;
    }
    // uv_ip6_addr knows scopes ("fe80::1%eth0"), inet_pton doesn't.
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->storage;
    a->len = sizeof(*in6);
    return uv_ip6_addr(host, port, in6) == 0;
}

void socket_address_text(const struct socket_address *a, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *in = (const struct sockaddr_in *)&a->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->storage;
    const struct sockaddr_un *un = (const struct sockaddr_un *)&a->storage;
    switch (a->storage.ss_family) {
    case AF_INET:
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(out, size, "%s:%d", host, ntohs(in->sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(out, size, "[%s]:%d", host, ntohs(in6->sin6_port));
        break;
    case AF_UNIX: {
        size_t used = offsetof(struct sockaddr_un, sun_path);
        int len = a->len > used ? (int)strnlen(un->sun_path, a->len - used) : 0;
        snprintf(out, size, "%.*s:0", len, un->sun_path);
        break;
    }
    default:
        snprintf(out, size, "?:0");
    }
}
