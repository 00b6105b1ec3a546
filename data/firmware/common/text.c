/* %s %c %d %u %x with width and zero padding; nothing else is needed here. */
#include <stdarg.h>
#include <stdint.h>
#include "board.h"
#include "text.h"

static void number(uint32_t value, unsigned base, unsigned width, char pad)
{
    char digits[12];
    unsigned n = 0;
    do {
        unsigned d = value % base;
        digits[n++] = (char)(d < 10 ? '0' + d : 'A' + d - 10);
        value /= base;
    } while (value);
    while (width-- > n)
        uart_put(pad);
    while (n)
        uart_put(digits[--n]);
}

void print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    for (; *format; format++) {
        if (*format != '%') {
            if (*format == '\n')
                uart_put('\r');
            uart_put(*format);
            continue;
        }
        char pad = ' ';
        unsigned width = 0;
        format++;
        if (*format == '0')
            pad = *format++;
        while (*format >= '0' && *format <= '9')
            width = width * 10 + (unsigned)(*format++ - '0');
        switch (*format) {
        case 's': uart_text(va_arg(args, const char *)); break;
        case 'c': uart_put((char)va_arg(args, int)); break;
        case 'x': number(va_arg(args, uint32_t), 16, width, pad); break;
        case 'u': number(va_arg(args, uint32_t), 10, width, pad); break;
        case 'd': {
            int32_t v = va_arg(args, int32_t);
            if (v < 0) {
                uart_put('-');
                v = -v;
            }
            number((uint32_t)v, 10, width, pad);
            break;
        }
        default: uart_put(*format);
        }
    }
    va_end(args);
}

int text_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

unsigned long text_number(const char *text)
{
    unsigned long value = 0;
    unsigned base = 10;
    if (text[0] == '0' && text[1] == 'x') {
        base = 16;
        text += 2;
    }
    for (;; text++) {
        unsigned d = (unsigned)*text - '0';
        if (d > 9)
            d = ((unsigned)*text | 32u) - 'a' + 10;
        if (d >= base)
            return value;
        value = value * base + d;
    }
}
