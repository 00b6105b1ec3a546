/* Erase and program the user flash of an STM32H5 from SRAM: position-independent, no data of its own.
 *
 * Entry points are five branches at the begin of the code, in the order Init, UnInit, EraseSector, ProgramPage,
 * Checksums, with the calling convention of CMSIS flash algorithms: 0 is success, anything else the error bits of the
 * status register. The size of a bank comes with each erase: the chip's own size word reads 0 while its boot code runs.
 * An address in the secure alias (0x0C..) uses the secure registers. Only sector erase and quad-word programming are
 * here; option bytes are never touched.
 *
 * Register offsets and keys: stm32h563xx.h (FLASH_TypeDef), HAL FLASH_KEY1 and FLASH_KEY2.
 */
#include <stdint.h>

#define REG(base, offset) (*(volatile uint32_t *)((base) + (offset)))
#define KEYR(s) ((s) ? 0x08u : 0x04u)
#define OPTCR 0x1Cu
#define SR(s) ((s) ? 0x24u : 0x20u)
#define CR(s) ((s) ? 0x2Cu : 0x28u)
#define CCR(s) ((s) ? 0x34u : 0x30u)
#define BUSY 0x0000000Bu   /* BSY, WBNE, DBNE */
#define ERRORS 0x00FE0000u /* WRPERR to OPTCHANGEERR */
#define FLAGS 0x00FF0000u
#define LOCK 1u
#define PG 2u
#define SER 4u
#define STRT 0x20u
#define SECTOR 0x2000u

static inline uint32_t side(uint32_t address) { return address >> 26 & 1u; }
static inline uint32_t base(uint32_t s) { return s ? 0x50022000u : 0x40022000u; }

static inline uint32_t wait(uint32_t s)
{
    uint32_t status;
    do {
        status = REG(base(s), SR(s));
    } while (status & BUSY);
    return status & ERRORS;
}

__attribute__((naked, section(".entry"), used)) void entry(void)
{
    __asm volatile("b.w init\n b.w uninit\n b.w erase_sector\n b.w program_page\n b.w checksums\n");
}

__attribute__((used)) uint32_t init(uint32_t address, uint32_t clock, uint32_t operation)
{
    uint32_t s = side(address);
    (void)clock;
    (void)operation;
    wait(s);
    if (REG(base(s), CR(s)) & LOCK) {
        REG(base(s), KEYR(s)) = 0x45670123u;
        REG(base(s), KEYR(s)) = 0xCDEF89ABu;
    }
    REG(base(s), CCR(s)) = FLAGS;
    return REG(base(s), CR(s)) & LOCK;
}

__attribute__((used)) uint32_t uninit(uint32_t operation)
{
    (void)operation;
    REG(base(0), CR(0)) = LOCK;
    REG(base(1), CR(1)) = LOCK; /* ignored where the secure side may not be reached */
    return 0;
}

__attribute__((used)) uint32_t erase_sector(uint32_t address, uint32_t half)
{
    uint32_t s = side(address);
    if (!half) {
        return ERRORS;
    }
    uint32_t offset = address & 0x00FFFFFFu, bank = offset >= half;
    uint32_t control = SER | (offset - bank * half) / SECTOR << 6;
    if (REG(base(s), OPTCR) >> 31 ^ bank) {
        control |= 1u << 31; /* BKSEL names the physical bank, whatever SWAP_BANK says */
    }
    REG(base(s), CCR(s)) = FLAGS;
    REG(base(s), CR(s)) = control;
    REG(base(s), CR(s)) = control | STRT;
    uint32_t errors = wait(s);
    REG(base(s), CR(s)) = 0;
    return errors;
}

/* With bit 0 of the address set the quad-words are taken from the last to the first. */
__attribute__((used)) uint32_t program_page(uint32_t address, uint32_t size, const uint32_t *data)
{
    uint32_t s = side(address), errors = 0, down = address & 1u;
    address &= ~1u;
    REG(base(s), CCR(s)) = FLAGS;
    REG(base(s), CR(s)) = PG;
    if (down) {
        data += size / 4u;
    }
    for (uint32_t i = 0; i < size && !errors; i += 16u) {
        data -= down ? 4 : 0;
        const uint32_t *from = data;
        data += down ? 0 : 4;
        if ((from[0] & from[1] & from[2] & from[3]) == 0xFFFFFFFFu) {
            continue; /* an erased quad-word stays unprogrammed */
        }
        volatile uint32_t *to = (volatile uint32_t *)(address + (down ? size - 16u - i : i));
        to[0] = from[0];
        to[1] = from[1];
        to[2] = from[2];
        to[3] = from[3];
        __asm volatile("dsb" ::: "memory");
        errors = wait(s);
    }
    REG(base(s), CR(s)) = 0;
    return errors;
}

/* One word for each block: the second way of reading, which does not pass the link. */
__attribute__((used)) uint32_t checksums(uint32_t address, uint32_t size, uint32_t block, uint32_t *out)
{
    for (uint32_t i = 0; i < size; i += block) {
        uint32_t h = 0x811C9DC5u;
        for (uint32_t j = 0; j < block; j += 4u) {
            h = (h ^ *(const volatile uint32_t *)(address + i + j)) * 0x01000193u;
            h ^= h >> 15;
        }
        *out++ = h;
    }
    return 0;
}
