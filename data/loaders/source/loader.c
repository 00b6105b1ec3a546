#if !defined(PROJECT)
/*
 * A small external loader for STM32CubeProgrammer, at register level: a W25Q128 on OCTOSPI1 of an STM32L5, H5 or U5.
 *
 * It is sample data of h5diag: `build.py` makes the good loaders and, by the switches named BAD_..., loaders that
 * each have one fault. `h5diag loader new` writes it with the switches resolved and PROJECT set. One data line, 3-byte
 * addresses.
 */
#endif
/* No start-up code, no interrupts, no libraries: the programmer calls the entry points directly, with 1 KiB of stack. */
#include <stdint.h>

#if defined(CHIP_L5)
#define OCTOSPI 0x44021000u
#define RCC_CR 0x40021000u
#define HSI_ON (1u << 8)
#define HSI_READY (1u << 10)
#define GPIO_ENABLE 0x4002104Cu
#define OCTOSPI_ENABLE 0x40021050u
#define OCTOSPI_BIT (1u << 8)
#elif defined(CHIP_H5)
#define OCTOSPI 0x47001400u
#define RCC_CR 0x44020C00u
#define HSI_ON (1u << 0)
#define HSI_READY (1u << 1)
#define GPIO_ENABLE 0x44020C8Cu
#define OCTOSPI_ENABLE 0x44020C94u
#define OCTOSPI_BIT (1u << 20)
#elif defined(CHIP_U5)
#define OCTOSPI 0x420D1400u
#define RCC_CR 0x46020C00u
#define HSI_ON (1u << 8)
#define HSI_READY (1u << 10)
#define GPIO_ENABLE 0x46020C8Cu
#define OCTOSPI_ENABLE 0x46020C90u
#define OCTOSPI_BIT (1u << 4)
#else
#error "say -DCHIP_L5, -DCHIP_H5 or -DCHIP_U5"
#endif

#if defined(SECURE)
/* With TrustZone on, the peripherals at their secure addresses. No tool of ST has confirmed it for a loader. */
#define REG(address) (*(volatile uint32_t *)((address) + 0x10000000u))
#define REG8(address) (*(volatile uint8_t *)((address) + 0x10000000u))
#else
#define REG(address) (*(volatile uint32_t *)(address))
#define REG8(address) (*(volatile uint8_t *)(address))
#endif
#define CR REG(OCTOSPI + 0x000)
#define DCR1 REG(OCTOSPI + 0x008)
#define DCR2 REG(OCTOSPI + 0x00C)
#define SR REG(OCTOSPI + 0x020)
#define FCR REG(OCTOSPI + 0x024)
#define DLR REG(OCTOSPI + 0x040)
#define AR REG(OCTOSPI + 0x048)
#define DR8 REG8(OCTOSPI + 0x050)
#define CCR REG(OCTOSPI + 0x100)
#define TCR REG(OCTOSPI + 0x108)
#define IR REG(OCTOSPI + 0x110)

#define SR_TCF (1u << 1)
#define SR_FTF (1u << 2)
#define SR_BUSY (1u << 5)
#define MODE(n) ((uint32_t)(n) << 28)
#define ONE_LINE_INSTRUCTION 1u
#define ONE_LINE_ADDRESS (1u << 8 | 2u << 12)
#define ONE_LINE_DATA (1u << 24)

#if defined(PROJECT)
/*
 * YOUR MEMORY: size, sector and page from its data sheet. Commands are those of a serial NOR with 3-byte addresses:
 * 0x06 write enable, 0x05 status, 0x20 erase sector, 0xC7 erase all, 0x02 program, 0x03 read. Above 16 MiB it takes
 * the commands with 4-byte addresses.
 */
#endif
#define MEMORY_START 0x90000000u
#define MEMORY_SIZE 0x01000000u
#define SECTOR 0x1000u
#define PAGE 0x100u
#define PATIENCE 200000u

#if defined(PROJECT)
/*
 * YOUR BOARD: the pins of the memory as port, number, alternate function, from schematic and data sheet, such as
 * {'B', 2, 9}. The first row stays the end of the list until you fill it in: without pins no memory answers on a real
 * board, and the dry run does not see that.
 */
#define GPIO 0x42020000u
static const uint8_t PINS[][3] = {
    {0, 0, 0},
};
#endif

struct StorageInfo {
    char DeviceName[100];
    uint16_t DeviceType;
    uint32_t DeviceStartAddress;
    uint32_t DeviceSize;
    uint32_t PageSize;
    uint8_t EraseValue;
    struct {
        uint32_t SectorNum;
        uint32_t SectorSize;
    } sectors[10];
};

#if !defined(BAD_NO_STORAGE_INFO)
#if defined(BAD_SHARED_SEGMENT)
__attribute__((used, section(".text.info")))
#else
__attribute__((used, section(".info")))
#endif
const struct StorageInfo StorageInfo = {
#if defined(PROJECT)
    "W25Q128 on my board",                 /* DeviceName, 100 bytes */
    3,                                     /* DeviceType: NOR flash */
    MEMORY_START,                          /* DeviceStartAddress */
    MEMORY_SIZE,                           /* DeviceSize */
    PAGE,                                  /* PageSize */
    0xFF,                                  /* EraseValue */
    {{MEMORY_SIZE / SECTOR, SECTOR}, {0, 0}}, /* number and size of sectors, ended by 0, 0 */
#else
    "h5diag sample W25Q128", 3, MEMORY_START, MEMORY_SIZE, PAGE, 0xFF, {{MEMORY_SIZE / SECTOR, SECTOR}, {0, 0}},
#endif
};
#endif

#if !defined(PROJECT)
/* In the image, not in .bss: nobody clears .bss for a loader. */
static uint32_t calls __attribute__((section(".data"))) = 0;
#endif

#if defined(BAD_DIRTY_BSS)
static uint32_t started; /* taken for 0 at the first call */
#endif
#if defined(BAD_TOO_LARGE)
__attribute__((used)) const uint8_t padding[0x1200] = {1};
#endif

static int finished(void)
{
    for (uint32_t i = 0; i < PATIENCE; i++) {
        if (SR & SR_TCF) {
            FCR = SR_TCF;
            return 1;
        }
    }
    return 0;
}

static void quit_memory_mapped(void)
{
    if (CR & MODE(3)) {
        CR |= 2u; /* abort */
        for (uint32_t i = 0; i < PATIENCE && (CR & 2u); i++) { }
        FCR = SR_TCF;
    }
    CR = 1u;
}

static int command(uint8_t opcode)
{
    CR = 1u;
    CCR = ONE_LINE_INSTRUCTION;
    IR = opcode;
    return finished();
}

static int address_command(uint8_t opcode, uint32_t address)
{
    CR = 1u;
    CCR = ONE_LINE_INSTRUCTION | ONE_LINE_ADDRESS;
    IR = opcode;
    AR = address;
    return finished();
}

static int status(void)
{
    CR = MODE(1) | 1u;
    DLR = 0;
    CCR = ONE_LINE_INSTRUCTION | ONE_LINE_DATA;
    IR = 0x05;
    if (!finished())
        return -1;
    return DR8;
}

static int ready(void)
{
#if defined(BAD_HANG)
    while (status() & 0x80) { } /* the bit that means something else */
    for (;;) { }
#endif
    for (uint32_t i = 0; i < PATIENCE; i++) {
        int s = status();
        if (s < 0)
            return 0;
        if (!(s & 1))
            return 1;
    }
    return 0;
}

static int write_enable(void)
{
    return command(0x06);
}

#if !defined(PROJECT)
static int memory_mapped(void)
{
    CR = 1u;
    CCR = ONE_LINE_INSTRUCTION | ONE_LINE_ADDRESS | ONE_LINE_DATA;
    TCR = 0;
    IR = 0x03;
    CR = MODE(3) | 1u;
    return 1;
}
#endif

#if defined(BAD_NO_THUMB_BIT)
/* An entry written in assembler, without .thumb_func: its symbol lacks bit 0. */
__asm__(".text\n.global Init\nInit: b start");
#define Init start
int start(void) __attribute__((used));
#endif

#if defined(PROJECT)
static void connect_pins(void)
{
    for (uint32_t i = 0; i < sizeof PINS / sizeof PINS[0] && PINS[i][0]; i++) {
        uint32_t port = GPIO + (PINS[i][0] - 'A') * 0x400u, n = PINS[i][1], half = port + 0x20u + n / 8u * 4u;
        REG(port + 0x08u) |= 3u << n * 2u;                                                /* OSPEEDR: fastest */
        REG(half) = (REG(half) & ~(15u << n % 8u * 4u)) | (uint32_t)PINS[i][2] << n % 8u * 4u; /* AFRL, AFRH */
        REG(port) = (REG(port) & ~(3u << n * 2u)) | 2u << n * 2u;                         /* MODER: alternate */
    }
}

/* Before every operation: nothing may rest on an earlier call. 1 is success, 0 failure, here and below. */
#endif
int Init(void)
{
#if !defined(PROJECT)
    calls++;
#endif
#if defined(BAD_DIRTY_BSS)
    if (started > 1)
        return 0;
    started = 1;
#endif
#if defined(BAD_FLOAT)
    volatile float period = 1.5f;
    period = period * 2.0f;
#endif
#if defined(BAD_NULL_CALL)
    void (*volatile hook)(void) = 0;
    hook();
#endif
    REG(RCC_CR) |= HSI_ON;
    for (uint32_t i = 0; i < PATIENCE && !(REG(RCC_CR) & HSI_READY); i++) { }
#if defined(PROJECT)
    REG(GPIO_ENABLE) |= 0xFFu; /* ports A to H */
    (void)REG(GPIO_ENABLE);
    connect_pins();
#else
    REG(GPIO_ENABLE) |= 0xFFu;
#endif
    REG(OCTOSPI_ENABLE) |= OCTOSPI_BIT;
    (void)REG(OCTOSPI_ENABLE);
    quit_memory_mapped();
    DCR1 = 23u << 16 | 3u << 8; /* 2^24 bytes */
    DCR2 = 3u;
    CR = 1u;
    if (!command(0x66) || !command(0x99) || !ready())
        return 0;
#if defined(WITHOUT_READ)
    return memory_mapped();
#else
    return 1;
#endif
}

#if defined(PROJECT)
/* `end` lies within the last sector. */
#endif
int SectorErase(uint32_t start, uint32_t end)
{
    quit_memory_mapped();
#if defined(BAD_ERASE_SHORT)
    while (start < end) {
#else
    start &= ~(SECTOR - 1);
    while (start <= end) {
#endif
        if (!write_enable() || !address_command(0x20, start - MEMORY_START) || !ready())
            return 0;
        start += SECTOR;
    }
    return 1;
}

#if defined(BAD_STACK)
__attribute__((noinline)) static int program(uint32_t address, uint32_t size, const uint8_t *data)
{
    volatile uint8_t copy[1536];
    for (uint32_t i = 0; i < sizeof copy; i++)
        copy[i] = (uint8_t)i;
    for (uint32_t i = 0; i < size; i++)
        copy[i] = data[i];
    data = (const uint8_t *)copy;
#else
static int program(uint32_t address, uint32_t size, const uint8_t *data)
{
#endif
#if !defined(BAD_NO_WRITE_ENABLE)
    if (!write_enable())
        return 0;
#endif
    CR = 1u;
    DLR = size - 1;
    CCR = ONE_LINE_INSTRUCTION | ONE_LINE_ADDRESS | ONE_LINE_DATA;
    IR = 0x02;
    AR = address;
#if defined(PROJECT)
    for (uint32_t i = 0, left = PATIENCE; i < size; i++) {
        while (!(SR & SR_FTF)) {
            if (!left--)
                return 0;
        }
        DR8 = data[i];
    }
#else
    for (uint32_t i = 0; i < size; i++) {
        while (!(SR & SR_FTF)) { }
        DR8 = data[i];
    }
#endif
    return finished() && ready();
}

int Write(uint32_t address, uint32_t size, uint8_t *buffer)
{
    quit_memory_mapped();
    address -= MEMORY_START;
    while (size) {
        uint32_t n = PAGE - (address & (PAGE - 1));
        if (n > size)
            n = size;
        if (!program(address, n, buffer))
            return 0;
        address += n;
        buffer += n;
        size -= n;
    }
#if defined(WITHOUT_READ)
    return memory_mapped();
#else
    return 1;
#endif
}

#if !defined(WITHOUT_READ)
#if defined(PROJECT)
/* Without Read the programmer reads the window itself, and Init and Write would have to leave it memory-mapped. */
#endif
int Read(uint32_t address, uint32_t size, uint8_t *buffer)
{
#if !defined(PROJECT)
    (void)memory_mapped;
#endif
    quit_memory_mapped();
    CR = MODE(1) | 1u;
    DLR = size - 1;
    CCR = ONE_LINE_INSTRUCTION | ONE_LINE_ADDRESS | ONE_LINE_DATA;
    IR = 0x03;
    AR = address - MEMORY_START;
#if defined(PROJECT)
    for (uint32_t i = 0, left = PATIENCE; i < size; i++) {
        while (!(SR & (SR_FTF | SR_TCF))) {
            if (!left--)
                return 0;
        }
        buffer[i] = DR8;
    }
#else
    for (uint32_t i = 0; i < size; i++) {
        while (!(SR & (SR_FTF | SR_TCF))) { }
        buffer[i] = DR8;
    }
#endif
    FCR = SR_TCF;
    return 1;
}
#endif

int MassErase(void)
{
    quit_memory_mapped();
    return write_enable() && command(0xC7) && ready();
}
