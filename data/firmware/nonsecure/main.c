/* Non-secure application: a serial shell, a blinking LED and a slow data logger. */
#include "board.h"
#include "crc32.h"
#include "flash.h"
#include "text.h"
#ifdef STANDALONE
#include "tables.h"
#endif
#include "../secure/services.h"


#define LOG_START 0x081FC000u
#define WORDS_MAX 6

struct sample {
    uint32_t time;
    uint16_t light, humidity;
    int16_t temperature;
    uint16_t flags;
    uint32_t check;
};

static uint32_t log_next = LOG_START;
static uint32_t samples_bad;
static int blinking = 1;

static void command_help(int n, char **w);

static void command_dump(int n, char **w)
{
    if (n < 2)
        return;
    uint32_t at = text_number(w[1]) & ~15u, size = n > 2 ? text_number(w[2]) : 64;
    for (; size; at += 16, size = size > 16 ? size - 16 : 0) {
        print("%08x :", at);
        for (unsigned i = 0; i < 16; i += 4)
            print(" %08x", REG(at + i));
        uart_put('\n');
    }
}

static void command_crc(int n, char **w)
{
    if (n == 3)
        print("%08x\n", crc32(0, (const void *)text_number(w[1]), text_number(w[2])));
}

static void command_secure(int n, char **w)
{
    uint8_t digest[32];
    struct service_request r = {SERVICE_DIGEST, (const void *)0x0801E400u, 0x1000, digest, sizeof digest};
    if (n == 2 && text_equal(w[1], "faults")) {
        print("%u calls refused\n", secure_fault_count(0));
        return;
    }
    int32_t got = secure_call(&r);
    if (got < 0) {
        print("refused\n");
        return;
    }
    for (int i = 0; i < got; i++)
        print("%02x", digest[i]);
    uart_put('\n');
}

static void command_blink(int n, char **w) { blinking = n < 2 || !text_equal(w[1], "off"); }

static void command_erase(int n, char **w)
{
    static const char *const outcomes[] = {"erased", "busy", "write protected", "wrong sequence", "out of range"};
    if (n == 2 && text_equal(w[1], "log")) {
        print("%s\n", outcomes[flash_erase(LOG_START)]);
        log_next = LOG_START;
    }
}

static void command_restart(int n, char **w)
{
    (void)n, (void)w;
    REG(SCB_AIRCR) = 0x05FA0004u;
}

static const struct {
    const char *name, *help;
    void (*run)(int n, char **w);
} commands[] = {
    {"help", "this list", command_help},
    {"dump", "ADDRESS [SIZE]: memory words", command_dump},
    {"crc", "ADDRESS SIZE: CRC-32 over memory", command_crc},
    {"secure", "[faults]: digest of this application by the secure one", command_secure},
    {"blink", "[off]: the green LED", command_blink},
    {"erase", "log: forget the stored samples", command_erase},
    {"restart", "system reset", command_restart},
};

static void command_help(int n, char **w)
{
    (void)n, (void)w;
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++)
        print("  %s  %s\n", commands[i].name, commands[i].help);
}

static void run(char *line)
{
    char *words[WORDS_MAX];
    int n = 0;
    while (n < WORDS_MAX) {
        while (*line == ' ')
            line++;
        if (!*line)
            break;
        words[n++] = line;
        while (*line && *line != ' ')
            line++;
        if (*line)
            *line++ = 0;
    }
    if (!n)
        return;
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (text_equal(words[0], commands[i].name)) {
            commands[i].run(n, words);
            return;
        }
    print("? %s (try help)\n", words[0]);
}

static void shell(void)
{
    static char line[80];
    static unsigned used;
    for (int c; (c = uart_get()) >= 0;) {
        if (c == '\r' || c == '\n') {
            line[used] = 0;
            used = 0;
            uart_text("\n");
            run(line);
            uart_text("> ");
        } else if (c == 8 || c == 127) {
            if (used) {
                used--;
                uart_text("\b \b");
            }
        } else if (used < sizeof line - 1) {
            line[used++] = (char)c;
            uart_put((char)c);
        }
    }
}

static void sample_take(void)
{
    struct sample s = {ticks_ms(), (uint16_t)REG(PERIPH(0x42028040u)), (uint16_t)REG(PERIPH(0x42028140u)), 0, 0, 0};
    s.temperature = (int16_t)((int32_t)s.light * 145 / 4096 - 40);
#ifdef STANDALONE
    s.temperature = calibration[s.light & 0x0FFFu];
    s.flags = glyphs[s.humidity & 0x0FFFu];
#endif
    s.check = crc32(0xFFFFFFFFu, &s, sizeof s - sizeof s.check);
    if (flash_program(log_next, &s, sizeof s) != FLASH_OK)
        samples_bad++;
    log_next += sizeof s;
    if (log_next % SECTOR_SIZE == 0 && flash_erase(log_next >= 0x08200000u ? (log_next = LOG_START) : log_next))
        print("log sector %08x could not be erased\n", log_next);
}

int main(void)
{
    board_start();
    uart_start(32000000u, 115200u);
    print("H5 sample, application of %s\n> ", "the non-secure side");
    for (uint32_t next_blink = 0, next_sample = 60000, on = 0;;) {
        shell();
        uint32_t now = ticks_ms();
        if (blinking && (int32_t)(now - next_blink) >= 0) {
            led_set(0, (int)(on ^= 1u));
            next_blink = now + 250;
        }
        if ((int32_t)(now - next_sample) >= 0) {
            sample_take();
            next_sample = now + 60000;
        }
        wait_for_interrupt();
    }
}
