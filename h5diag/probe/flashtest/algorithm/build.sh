#!/bin/sh
# Rebuild flash_algorithm.bin: sh build.sh [OUTPUT]. Needs gcc-arm-none-eabi; the blob in the tree is of version 12.2.
set -eu
here=$(dirname "$0")
out=${1:-$here/flash_algorithm.bin}
elf=$(mktemp)
trap 'rm -f "$elf"' EXIT
arm-none-eabi-gcc -mcpu=cortex-m33 -mthumb -mfloat-abi=soft -Os -std=c11 -Wall -Wextra -Werror -ffreestanding \
    -fno-builtin -nostdlib -Wl,--build-id=none -T "$here/flash_algorithm.ld" -Wl,-e,entry \
    "$here/flash_algorithm.c" -o "$elf"
arm-none-eabi-objcopy -O binary "$elf" "$out"
