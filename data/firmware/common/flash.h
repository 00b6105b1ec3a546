/* Erase and program user flash; sectors of 8 KB, quad-words of 16 bytes. */
#ifndef FLASH_H
#define FLASH_H
#include <stdint.h>
enum flash_result { FLASH_OK, FLASH_BUSY, FLASH_PROTECTED, FLASH_SEQUENCE, FLASH_RANGE };
enum flash_result flash_erase(uint32_t address);
enum flash_result flash_program(uint32_t address, const void *data, uint32_t size);
#endif
