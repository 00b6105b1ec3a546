/* A byte queue for one writer and one reader. */
#ifndef RING_H
#define RING_H
#include <stdint.h>

struct ring {
    volatile uint16_t in, out;
    uint8_t bytes[128];
};

static inline int ring_push(struct ring *r, uint8_t byte)
{
    uint16_t next = (uint16_t)((r->in + 1u) % sizeof r->bytes);
    if (next == r->out)
        return -1;
    r->bytes[r->in] = byte;
    r->in = next;
    return 0;
}

static inline int ring_pop(struct ring *r)
{
    if (r->in == r->out)
        return -1;
    int byte = r->bytes[r->out];
    r->out = (uint16_t)((r->out + 1u) % sizeof r->bytes);
    return byte;
}
#endif
