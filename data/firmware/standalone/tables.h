/* Tables of the stand-alone product; they fill three flash sectors of their own. */
#ifndef TABLES_H
#define TABLES_H
#include <stdint.h>
extern const int16_t calibration[4096];
extern const uint8_t glyphs[4096];
#endif
