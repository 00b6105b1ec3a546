/* Register addresses and small accessors of the STM32H563 that the sample firmware uses. */
#ifndef BOARD_H
#define BOARD_H
#include <stdint.h>

#ifdef SECURE_BUILD
#define PERIPH(address) ((address) + 0x10000000u)
#else
#define PERIPH(address) (address)
#endif

#define REG(address) (*(volatile uint32_t *)(address))

#define GPIOB_BASE  PERIPH(0x42020400u)
#define GPIOD_BASE  PERIPH(0x42020C00u)
#define GPIOF_BASE  PERIPH(0x42021400u)
#define USART3_BASE PERIPH(0x40004800u)
#define TIM6_BASE   PERIPH(0x40001000u)
#define RCC_BASE    PERIPH(0x44020C00u)
#define FLASH_BASE  PERIPH(0x40022000u)
#define RNG_BASE    PERIPH(0x420C0800u)
#define IWDG_BASE   PERIPH(0x40003000u)
#define SYSTICK     0xE000E010u
#define SCB_VTOR    0xE000ED08u
#define SCB_AIRCR   0xE000ED0Cu
#define SAU_CTRL    0xE000EDD0u
#define SCB_VTOR_NS 0xE002ED08u

int memcmp(const void *a, const void *b, __SIZE_TYPE__ n);
void *memcpy(void *to, const void *from, __SIZE_TYPE__ n);

#define SECTOR_SIZE 0x2000u
#define FLASH_NS    0x08000000u
#define FLASH_S     0x0C000000u

static inline void set_bits(uint32_t address, uint32_t bits) { REG(address) |= bits; }
static inline void clear_bits(uint32_t address, uint32_t bits) { REG(address) &= ~bits; }
static inline void wait_for_interrupt(void) { __asm volatile("dsb\n wfi" ::: "memory"); }
static inline void interrupts_off(void) { __asm volatile("cpsid i" ::: "memory"); }
static inline void interrupts_on(void) { __asm volatile("cpsie i" ::: "memory"); }

void board_start(void);
void led_set(unsigned which, int on);
void uart_start(uint32_t clock_hz, uint32_t baud);
void uart_put(char c);
void uart_text(const char *text);
int uart_get(void);
uint32_t ticks_ms(void);
void delay_ms(uint32_t ms);
#endif
