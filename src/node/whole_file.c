#include "node/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static bool read_all(const char *path, bool must_exist, struct buf *out, struct error *error)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL && errno == ENOENT && !must_exist) return true;
    if (f == NULL)
        return error_set(error, ERROR_CONFIG, "can't open '%s': %s", path, strerror(errno));
    size_t got;
    while ((got = fread(buf_reserve(out, 8192), 1, 8192, f)) > 0)
        buf_commit(out, got);
    bool ok = ferror(f) == 0 ||
              error_set(error, ERROR_CONFIG, "can't read '%s': %s", path, strerror(errno));
    fclose(f);
    return ok;
}

bool whole_file_read(const char *path, struct buf *out, struct error *error)
{
    return read_all(path, true, out, error);
}

bool whole_file_read_if_any(const char *path, struct buf *out, struct error *error)
{
    return read_all(path, false, out, error);
}

bool whole_file_replace(const char *path, struct bytes text, int mode, struct error *error)
{
    char temp[4096];
    snprintf(temp, sizeof(temp), "%s.%d.tmp", path, (int)getpid());
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool ok = fd >= 0;
    while (ok && text.len > 0) {
        ssize_t put = write(fd, text.data, text.len);
        ok = put > 0;
        if (ok) text = bytes_of(text.data + put, text.len - (size_t)put);
    }
    ok = ok && fdatasync(fd) == 0;
    if (fd >= 0) close(fd);
    if (ok && rename(temp, path) == 0) return true;
    error_set(error, ERROR_IO, "can't write '%s': %s", path, strerror(errno));
    unlink(temp);
    return false;
}
