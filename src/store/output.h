// The bytes of a snapshot on their way to its sinks: one stream in shared chunks, its checksum, and
// how much more may be produced now. Nothing here calls into a sink but `data` and `room`.
#ifndef WHERRY_STORE_OUTPUT_H
#define WHERRY_STORE_OUTPUT_H

#include "store/snapshot.h"

struct output {
    struct loop *loop;
    struct job *producer; // started when `patience` ends
    struct list sinks;
    struct chunk *chunk; // the open end; what the sinks have ends at `sent`. NULL: none
    uint32_t sent;
    bool summed;
    uint64_t crc, bytes;      // of what the sinks have
    struct deadline patience; // with sinks that take nothing while a write waits
    int64_t taken;            // by the sink that has taken most, and its window
    bool sinks_stall;
};

void output_init(struct output *o, struct loop *loop, struct job *producer, bool summed);
void output_free(struct output *o); // the sinks are off the list

// Room at the end of the stream, at least one byte, and how much of it was used.
char *output_room(struct output *o, size_t *room);
void output_commit(struct output *o, size_t len);
void output_append(struct output *o, struct bytes data);
void output_deliver(struct output *o); // hands what there is to the sinks
uint64_t output_produced(const struct output *o);

// Has any sink room?
bool output_wanted(const struct output *o);
// The same for a write that waits: so much is produced beyond the windows that bursts of sinks
// don't hold it up, and no more, or a client that writes on and on would turn the whole snapshot
// into memory. Sinks that take nothing for some time are not waited for. False: the producer is
// started when that time is over.
bool output_wanted_ahead(struct output *o);

#endif
