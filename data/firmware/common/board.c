/* Clocks, LEDs, a polled UART with an interrupt-fed receive ring, and a millisecond tick. */
#include "board.h"
#include "ring.h"

static volatile uint32_t tick;
static struct ring received;

static void pin_mode(uint32_t port, unsigned pin, unsigned mode, unsigned alternate)
{
    uint32_t moder = REG(port) & ~(3u << (2 * pin));
    REG(port) = moder | mode << (2 * pin);
    uint32_t afr = port + 0x20 + 4 * (pin >> 3);
    unsigned shift = 4 * (pin & 7);
    REG(afr) = (REG(afr) & ~(15u << shift)) | alternate << shift;
}

void board_start(void)
{
    set_bits(RCC_BASE + 0x8C, 1u << 1 | 1u << 3 | 1u << 5 | 1u << 6);
    (void)REG(RCC_BASE + 0x8C);
    pin_mode(GPIOB_BASE, 0, 1, 0);
    pin_mode(GPIOF_BASE, 4, 1, 0);
    pin_mode(GPIOD_BASE, 8, 2, 7);
    pin_mode(GPIOD_BASE, 9, 2, 7);
    REG(SYSTICK + 4) = 32000u - 1;
    REG(SYSTICK + 8) = 0;
    REG(SYSTICK) = 7;
}

void led_set(unsigned which, int on)
{
    static const struct { uint32_t port; uint8_t pin; } leds[] = {{GPIOB_BASE, 0}, {GPIOF_BASE, 4}};
    if (which >= sizeof leds / sizeof leds[0])
        return;
    REG(leds[which].port + 0x18) = 1u << (leds[which].pin + (on ? 0 : 16));
}

void uart_start(uint32_t clock_hz, uint32_t baud)
{
    set_bits(RCC_BASE + 0x9C, 1u << 18);
    REG(USART3_BASE) = 0;
    REG(USART3_BASE + 0x0C) = (clock_hz + baud / 2) / baud;
    REG(USART3_BASE + 0x08) = 0;
    REG(USART3_BASE) = 1u << 29 | 1u << 5 | 1u << 3 | 1u << 2 | 1u;
    set_bits(0xE000E100u + 4 * (60 / 32), 1u << (60 % 32));
}

void uart_put(char c)
{
    uint32_t patience = 200000;
    while (!(REG(USART3_BASE + 0x1C) & 1u << 7) && --patience)
        ;
    REG(USART3_BASE + 0x28) = (uint8_t)c;
}

void uart_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            uart_put('\r');
        uart_put(*text);
    }
}

int uart_get(void) { return ring_pop(&received); }

void usart3_handler(void)
{
    uint32_t state = REG(USART3_BASE + 0x1C);
    if (state & 0x0Fu)
        REG(USART3_BASE + 0x20) = state & 0x0Fu;
    if (state & 1u << 5)
        ring_push(&received, (uint8_t)REG(USART3_BASE + 0x24));
}

void systick_handler(void) { tick++; }
uint32_t ticks_ms(void) { return tick; }

void delay_ms(uint32_t ms)
{
    uint32_t start = tick;
    while (tick - start < ms)
        wait_for_interrupt();
}
