/* Secure application: sets the isolation up, offers two entries, starts the non-secure application. */
#include <arm_cmse.h>
#include "board.h"
#include "crc32.h"
#include "flash.h"
#include "services.h"
#include "sha256.h"
#include "text.h"

#define NONSECURE_VECTORS 0x0801E400u
#define VERSION           0x01020000u

extern const uint8_t sensor_curve[];
extern const uint16_t sensor_curve_size;

static uint32_t faults, counter;
static uint32_t random_state[4] = {0x6C078965u, 0x9908B0DFu, 0x9D2C5680u, 0xEFC60000u};

struct journal_entry {
    uint32_t time, event, value, check;
};

static struct journal_entry journal[16];
static unsigned journal_next;

static const char *const event_names[] = {
    "start", "isolation set", "non-secure image rejected", "service refused", "pointer outside non-secure memory",
    "random generator not ready", "digest requested", "journal read", "watchdog late", "supply low",
};

static void note(uint32_t event, uint32_t value)
{
    struct journal_entry *e = &journal[journal_next++ % 16];
    e->time = ticks_ms();
    e->event = event;
    e->value = value;
    e->check = crc32(0, e, sizeof *e - sizeof e->check);
}

static void isolate(void)
{
    static const struct { uint32_t first, last, kind; } regions[] = {
        {0x0C01D000u, 0x0C01DFFFu, 2}, {0x0801E000u, 0x081FFFFFu, 0}, {0x20010000u, 0x2009FFFFu, 0},
        {0x40000000u, 0x4FFFFFFFu, 0}, {0x0BF90000u, 0x0BFA8FFFu, 0},
    };
    for (uint32_t i = 0; i < sizeof regions / sizeof regions[0]; i++) {
        REG(SAU_CTRL + 0x08) = i;
        REG(SAU_CTRL + 0x0C) = regions[i].first & ~31u;
        REG(SAU_CTRL + 0x10) = (regions[i].last & ~31u) | regions[i].kind | 1u;
    }
    REG(SAU_CTRL) = 1u;
    for (uint32_t i = 0; i < 4; i++)
        REG(PERIPH(0x40032410u) + 4 * i) = i == 3 ? 0x00000018u : 0u;
    note(1, sizeof regions / sizeof regions[0]);
}

static uint32_t random_word(void)
{
    if (REG(RNG_BASE + 4) & 1u)
        random_state[0] ^= REG(RNG_BASE + 8);
    else
        note(5, REG(RNG_BASE + 4));
    uint32_t t = random_state[3], s = random_state[0];
    random_state[3] = random_state[2];
    random_state[2] = random_state[1];
    random_state[1] = s;
    t ^= t << 11;
    t ^= t >> 8;
    random_state[0] = t ^ s ^ s >> 19;
    return random_state[0];
}

static int32_t refuse(uint32_t event, uint32_t value)
{
    faults++;
    note(event, value);
    return -1;
}

static int32_t digest(const struct service_request *r)
{
    struct sha256 h;
    if (r->output_size < 32)
        return refuse(3, SERVICE_DIGEST);
    sha256_start(&h);
    sha256_add(&h, r->input, r->input_size);
    sha256_finish(&h, r->output);
    note(6, r->input_size);
    return 32;
}

__attribute__((cmse_nonsecure_entry)) int32_t secure_call(const struct service_request *request)
{
    if (!cmse_check_pointed_object((struct service_request *)request, CMSE_NONSECURE | CMSE_MPU_READ))
        return refuse(4, (uint32_t)request);
    struct service_request r = *request;
    if (r.input_size && !cmse_check_address_range((void *)r.input, r.input_size, CMSE_NONSECURE | CMSE_MPU_READ))
        return refuse(4, (uint32_t)r.input);
    if (r.output_size && !cmse_check_address_range(r.output, r.output_size, CMSE_NONSECURE | CMSE_MPU_READWRITE))
        return refuse(4, (uint32_t)r.output);
    switch (r.service) {
    case SERVICE_VERSION:
        return (int32_t)VERSION;
    case SERVICE_COUNTER:
        return (int32_t)++counter;
    case SERVICE_RANDOM:
        for (uint32_t i = 0, word = 0; i < r.output_size; i++, word >>= 8) {
            if (i % 4 == 0)
                word = random_word();
            ((uint8_t *)r.output)[i] = (uint8_t)word;
        }
        return (int32_t)r.output_size;
    case SERVICE_DIGEST:
        return digest(&r);
    case SERVICE_JOURNAL: {
        uint32_t n = r.output_size / sizeof journal[0];
        if (n > 16)
            n = 16;
        note(7, n);
        for (uint32_t i = 0; i < n; i++)
            ((struct journal_entry *)r.output)[i] = journal[(journal_next - 1 - i) % 16];
        return (int32_t)n;
    }
    default:
        return refuse(3, r.service);
    }
}

__attribute__((cmse_nonsecure_entry)) uint32_t secure_fault_count(uint32_t clear)
{
    uint32_t n = faults;
    if (clear)
        faults = 0;
    return n;
}

/* Linear between the points of the curve; 1/16 of a degree per count. */
static int32_t linearised(uint16_t raw)
{
    uint32_t step = 65536u / (sensor_curve_size - 1u);
    uint32_t i = raw / step, part = raw % step;
    int32_t a = sensor_curve[i], b = sensor_curve[i + 1];
    return (a << 4) + (((b - a) * (int32_t)part) << 4) / (int32_t)step - 640;
}

int main(void)
{
    board_start();
    uart_start(32000000u, 115200u);
    note(0, VERSION);
    print("\nH5 sample, secure application %u.%u.%u\n", VERSION >> 24, VERSION >> 16 & 255u, VERSION & 0xFFFFu);
    print("core temperature %d/16 degrees, curve of %u points, check %08x\n",
          linearised((uint16_t)REG(PERIPH(0x42028040u))), (unsigned)sensor_curve_size,
          crc32(0, sensor_curve, sensor_curve_size));
    isolate();
    const uint32_t *start = (const uint32_t *)NONSECURE_VECTORS;
    if (start[0] - 0x20000000u > 0xA0000u || start[1] - FLASH_NS > 0x200000u) {
        note(2, start[0]);
        for (unsigned i = 0; i < 16 && i < journal_next; i++)
            print("%8u ms  %s (%08x)\n", journal[i].time, event_names[journal[i].event], journal[i].value);
        print("No non-secure application at %08x: stopped.\n", NONSECURE_VECTORS);
        for (;;)
            wait_for_interrupt();
    }
    REG(SCB_VTOR_NS) = NONSECURE_VECTORS;
    __asm volatile("msr msp_ns, %0" ::"r"(start[0]));
    typedef void __attribute__((cmse_nonsecure_call)) (*nonsecure_entry)(void);
    ((nonsecure_entry)(start[1] & ~1u))();
    return 0;
}
