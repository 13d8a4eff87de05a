// Small files, read and replaced whole: the configuration and the users. For worker threads, and
// for the time before the loop runs: these wait for the disk.
#ifndef WHERRY_NODE_WHOLE_FILE_H
#define WHERRY_NODE_WHOLE_FILE_H

#include "base/bytes.h"
#include "base/error.h"

// Appends what is in the file. ERROR_CONFIG: it can't be read.
bool whole_file_read(const char *path, struct buf *out, struct error *error);
// The same, but a file that is not there is an empty one. Not so one that only can't be read.
bool whole_file_read_if_any(const char *path, struct buf *out, struct error *error);
// A new file beside it, synced, takes its place. ERROR_IO: the old one stays.
bool whole_file_replace(const char *path, struct bytes text, int mode, struct error *error);

#endif
