// What happened, as lines with instants: the expectation of a flow test is such a text. Instants
// are milliseconds since the trace began, to the microsecond.
//
//     0.000 replica 10.0.0.2:6379: begins in connect
//     0.100 replica 10.0.0.2:6379: connect -> ping
//     0.100 peer > "+PONG\r\n"
//
// Machines log their changes at debug level, so trace_log given to one as its log records them.
#ifndef WHERRY_TESTS_TRACE_H
#define WHERRY_TESTS_TRACE_H

#include "sim/lib/sim.h"

struct trace {
    struct log log; // first: trace_log hands it out
    struct sim *sim;
    uint64_t began_us;
    struct buf text;
    const char *only; // when set, log lines that don't contain it are left out
};

void trace_init(struct trace *t, struct sim *sim);
void trace_free(struct trace *t);
struct log *trace_log(struct trace *t);
void trace_add(struct trace *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The whole text, NUL-terminated; valid until the next line.
const char *trace_text(struct trace *t);
void trace_clear(struct trace *t); // drops the text, keeps the time
bool trace_has(struct trace *t, const char *part);

#endif
