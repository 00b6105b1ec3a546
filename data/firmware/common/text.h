/* Formatted output without a library. */
#ifndef TEXT_H
#define TEXT_H
void print(const char *format, ...);
int text_equal(const char *a, const char *b);
unsigned long text_number(const char *text);
#endif
