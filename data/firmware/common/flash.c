/* The secure build drives the secure register set, the other one the non-secure set. */
#include "board.h"
#include "flash.h"

#ifdef SECURE_BUILD
#define KEYR  (FLASH_BASE + 0x08)
#define SR    (FLASH_BASE + 0x24)
#define CR    (FLASH_BASE + 0x2C)
#define CCR   (FLASH_BASE + 0x34)
#define FIRST FLASH_S
#else
#define KEYR  (FLASH_BASE + 0x04)
#define SR    (FLASH_BASE + 0x20)
#define CR    (FLASH_BASE + 0x28)
#define CCR   (FLASH_BASE + 0x30)
#define FIRST FLASH_NS
#endif
#define BANK_SIZE 0x100000u

static enum flash_result settled(void)
{
    uint32_t patience = 4000000;
    while (REG(SR) & 0x0Bu)
        if (!--patience)
            return FLASH_BUSY;
    uint32_t errors = REG(SR) & 0x00FE0000u;
    REG(CCR) = errors | 1u << 16;
    if (errors & 1u << 17)
        return FLASH_PROTECTED;
    return errors ? FLASH_SEQUENCE : FLASH_OK;
}

static void unlock(void)
{
    if (REG(CR) & 1u) {
        REG(KEYR) = 0x45670123u;
        REG(KEYR) = 0xCDEF89ABu;
    }
}

enum flash_result flash_erase(uint32_t address)
{
    uint32_t offset = address - FIRST;
    if (offset >= 2 * BANK_SIZE)
        return FLASH_RANGE;
    settled();
    unlock();
    uint32_t bank = offset >= BANK_SIZE;
    REG(CR) = bank << 31 | (offset % BANK_SIZE / SECTOR_SIZE) << 6 | 1u << 2;
    set_bits(CR, 1u << 5);
    enum flash_result result = settled();
    REG(CR) = 1u;
    return result;
}

enum flash_result flash_program(uint32_t address, const void *data, uint32_t size)
{
    const uint32_t *from = data;
    if (address % 16 || size % 16 || address - FIRST + size > 2 * BANK_SIZE)
        return FLASH_RANGE;
    settled();
    unlock();
    enum flash_result result = FLASH_OK;
    for (uint32_t at = address; result == FLASH_OK && at < address + size; at += 16) {
        REG(CR) = 1u << 1;
        interrupts_off();
        for (unsigned i = 0; i < 4; i++)
            REG(at + 4 * i) = *from++;
        interrupts_on();
        result = settled();
    }
    REG(CR) = 1u;
    return result;
}
