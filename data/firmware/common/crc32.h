/* CRC-32 (reflected 0xEDB88320), by table. */
#ifndef CRC32_H
#define CRC32_H
#include <stdint.h>
uint32_t crc32(uint32_t seed, const void *data, uint32_t size);
#endif
