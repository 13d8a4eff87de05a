#include "sim/lib/trace.h"

#include <stdio.h>

static void on_line(struct log *log, enum log_level level, const char *line)
{
    (void)level;
    struct trace *t = (struct trace *)(void *)log;
    if (t->only == NULL || strstr(line, t->only) != NULL) trace_add(t, "%s", line);
}

void trace_init(struct trace *t, struct sim *sim)
{
    *t = (struct trace){.log = {.level = LOG_DEBUG, .write = on_line, .owner = t},
                        .sim = sim,
                        .began_us = sim_now_us(sim)};
}

void trace_free(struct trace *t)
{
    buf_free(&t->text);
}

struct log *trace_log(struct trace *t)
{
    return &t->log;
}

void trace_add(struct trace *t, const char *format, ...)
{
    uint64_t us = sim_now_us(t->sim) - t->began_us;
    buf_printf(&t->text, "%lu.%03lu ", (unsigned long)(us / 1000), (unsigned long)(us % 1000));
    va_list args;
    va_start(args, format);
    buf_vprintf(&t->text, format, args);
    va_end(args);
    buf_append_byte(&t->text, '\n');
}

const char *trace_text(struct trace *t)
{
    *buf_reserve(&t->text, 1) = '\0';
    return buf_view(&t->text).data;
}

void trace_clear(struct trace *t)
{
    buf_clear(&t->text);
}

bool trace_has(struct trace *t, const char *part)
{
    return strstr(trace_text(t), part) != NULL;
}
