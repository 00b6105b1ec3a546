/* A stand-in for the immutable boot stage: looks at the slots, copies a pending image, starts the primary one.
   It checks hashes only; there is no cryptography worth the name in here. */
#include "board.h"
#include "crc32.h"
#include "flash.h"
#include "sha256.h"
#include "text.h"

#define HEADER_MAGIC 0x96F3B83Du
#define TLV_MAGIC    0x6907u
#define TLV_PROT     0x6908u
#define TLV_SHA256   0x10u

struct image_header {
    uint32_t magic, load_address;
    uint16_t header_size, protected_size;
    uint32_t image_size, flags;
    uint8_t major, minor;
    uint16_t revision;
    uint32_t build, pad;
};

struct slot {
    const char *name;
    uint32_t primary, secondary, size;
};

static const struct slot slots[] = {
    {"secure", 0x0C018000u, 0x0C0BE000u, 0x6000u},
    {"non-secure", 0x0C01E000u, 0x0C0C4000u, 0xA0000u},
};

static const uint32_t trailer_magic[4] = {0xF395C277u, 0x7FEFD260u, 0x0F505235u, 0x8079B62Cu};

struct expected_option {
    const char *name;
    uint16_t offset;
    uint32_t mask, value;
};

static const struct expected_option expected[] = {
    {"TZEN", 0x70, 0xFF000000u, 0xB4000000u},       {"SWAP_BANK", 0x50, 0x80000000u, 0},
    {"BOOT_UBE", 0x50, 0x3FC00000u, 0x2D000000u},   {"SECBOOTADD", 0x88, 0xFFFFFF00u, 0x0C000000u},
    {"SECBOOT_LOCK", 0x88, 0x000000FFu, 0xB4u},     {"SECWM1", 0xE0, 0x007F007Fu, 0x000E0000u},
    {"SECWM2", 0x1E0, 0x007F007Fu, 0x0000007Fu},    {"WRP1", 0xE8, 0xFFFFFFFFu, 0xFFFFFFF8u},
    {"HDP1", 0xF8, 0x007F007Fu, 0x000B0000u},       {"SRAM2_RST", 0x70, 0x00000008u, 0},
    {"SRAM2_ECC", 0x70, 0x00000040u, 0},
};

static void stop(const char *why)
{
    print("[boot] stopped: %s\n", why);
    interrupts_off();
    for (;;)
        led_set(1, 1);
}

static void check_options(void)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        uint32_t found = REG(FLASH_BASE + expected[i].offset) & expected[i].mask;
        if (found != expected[i].value) {
            print("[boot] %s: %08x, expected %08x\n", expected[i].name, found, expected[i].value);
            wrong++;
        }
    }
    if (wrong)
        stop("the static protections are not as expected");
}

static int pending(const struct slot *s)
{
    const uint32_t *magic = (const uint32_t *)(s->secondary + s->size - 16);
    return !memcmp(magic, trailer_magic, sizeof trailer_magic);
}

static int digest_right(uint32_t at, uint32_t room)
{
    const struct image_header *h = (const struct image_header *)at;
    if (h->magic != HEADER_MAGIC || h->header_size + h->image_size + h->protected_size + 4u > room)
        return 0;
    uint32_t covered = h->header_size + h->image_size + h->protected_size;
    const uint16_t *tlv = (const uint16_t *)(at + covered);
    if (tlv[0] != TLV_MAGIC)
        return 0;
    uint8_t digest[32];
    struct sha256 sha;
    sha256_start(&sha);
    sha256_add(&sha, (const void *)at, covered);
    sha256_finish(&sha, digest);
    for (const uint16_t *end = tlv + tlv[1] / 2, *p = tlv + 2; p < end; p += 2 + (p[1] + 1u) / 2)
        if (p[0] == TLV_SHA256)
            return !memcmp(p + 2, digest, 32);
    return 0;
}

static void install(const struct slot *s)
{
    static uint32_t buffer[SECTOR_SIZE / 4];
    print("[boot] %s image pending, copying %x bytes\n", s->name, s->size);
    for (uint32_t offset = 0; offset < s->size; offset += SECTOR_SIZE)
        if (flash_erase(s->primary + offset) != FLASH_OK)
            stop("the primary slot cannot be erased");
    for (uint32_t offset = 0; offset < s->size; offset += SECTOR_SIZE) {
        memcpy(buffer, (const void *)(s->secondary + offset), SECTOR_SIZE);
        if (flash_program(s->primary + offset, buffer, SECTOR_SIZE) != FLASH_OK)
            stop("the primary slot cannot be programmed");
        print("[boot] %08x crc %08x\n", s->primary + offset, crc32(0, buffer, SECTOR_SIZE));
    }
    for (uint32_t offset = 0; offset < s->size; offset += SECTOR_SIZE)
        flash_erase(s->secondary + offset);
}

int main(void)
{
    board_start();
    uart_start(32000000u, 115200u);
    print("\n[boot] sample boot stage 0.9\n");
    check_options();
    for (unsigned i = 0; i < sizeof slots / sizeof slots[0]; i++) {
        if (pending(&slots[i]))
            install(&slots[i]);
        else
            print("[boot] %s: nothing pending\n", slots[i].name);
        if (!digest_right(slots[i].primary, slots[i].size))
            stop("no bootable image");
    }
    const struct image_header *h = (const struct image_header *)slots[0].primary;
    const uint32_t *start = (const uint32_t *)(slots[0].primary + h->header_size);
    print("[boot] starting version %u.%u.%u at %08x\n", h->major, h->minor, h->revision, (uint32_t)start);
    REG(SCB_VTOR) = (uint32_t)start;
    __asm volatile("msr msp, %0\n bx %1" ::"r"(start[0]), "r"(start[1]));
    return 0;
}
