/* Vector table and the way from reset to main. */
#include "board.h"

extern uint32_t data_load, data_start, data_stop, bss_start, bss_stop, stack_top;
int main(void);
void systick_handler(void);
void usart3_handler(void);

__attribute__((noreturn)) void reset_handler(void)
{
    const uint32_t *from = &data_load;
    for (uint32_t *to = &data_start; to < &data_stop; to++)
        *to = *from++;
    for (uint32_t *to = &bss_start; to < &bss_stop; to++)
        *to = 0;
    main();
    for (;;)
        wait_for_interrupt();
}

__attribute__((noreturn)) static void fault_handler(void)
{
    interrupts_off();
    led_set(1, 1);
    for (;;)
        ;
}

static void idle_handler(void) {}

typedef void (*handler)(void);

__attribute__((section(".vectors"), used)) const handler vectors[16 + 131] = {
    (handler)&stack_top,
    reset_handler,
    [2 ... 7] = fault_handler,
    [11] = idle_handler,
    [12] = idle_handler,
    [14] = idle_handler,
    [15] = systick_handler,
    [16 ... 16 + 59] = idle_handler,
    [16 + 60] = usart3_handler,
    [16 + 61 ... 16 + 130] = idle_handler,
};

/* The compiler may call these even in freestanding code. */
void *memcpy(void *to, const void *from, __SIZE_TYPE__ n)
{
    uint8_t *d = to;
    const uint8_t *s = from;
    while (n--)
        *d++ = *s++;
    return to;
}

void *memset(void *to, int byte, __SIZE_TYPE__ n)
{
    uint8_t *d = to;
    while (n--)
        *d++ = (uint8_t)byte;
    return to;
}

int memcmp(const void *a, const void *b, __SIZE_TYPE__ n)
{
    const uint8_t *p = a, *q = b;
    for (; n--; p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}
