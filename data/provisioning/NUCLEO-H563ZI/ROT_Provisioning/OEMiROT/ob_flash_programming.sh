#!/bin/bash
source ../env.sh
attach="-c port=SWD speed=fast ap=1 mode=Hotplug"
under_reset="-c port=SWD speed=fast ap=1 mode=UR"
if [ $# -ge 1 ]; then run=$1; else run=ALONE; fi
give_up()
{
  echo "could not: $step"
  return 1
}
step="turn TrustZone on"
"$stm32programmercli" $attach -ob TZEN=0xB4
if [ $? -ne 0 ]; then give_up; return 1; fi
step="clear old protections"
"$stm32programmercli" $under_reset -ob SECWM1_STRT=1 SECWM1_END=0 WRPSGn1=0xffffffff WRPSGn2=0xffffffff SECWM2_STRT=1 SECWM2_END=0 HDP1_STRT=1 HDP1_END=0 HDP2_STRT=1 HDP2_END=0 SECBOOT_LOCK=0xC3 SECBOOTADD=0xC0000 SWAP_BANK=0 SRAM2_RST=0 SRAM2_ECC=0 BOOT_UBE=0xB4 -e all
if [ $? -ne 0 ]; then give_up; return 1; fi
step="secure areas"
"$stm32programmercli" $attach -ob SECWM1_STRT=0 SECWM1_END=0xE SECWM2_STRT=0x7f SECWM2_END=0x0
if [ $? -ne 0 ]; then give_up; return 1; fi
step="secure image"
"$stm32programmercli" $attach -d "../../$appli_project/Binary/$s_image" -v
if [ $? -ne 0 ]; then give_up; return 1; fi
step="non-secure image"
"$stm32programmercli" $attach -d "../../$appli_project/Binary/$ns_image" -v
if [ $? -ne 0 ]; then give_up; return 1; fi
step="boot loader"
"$stm32programmercli" $attach -d "$package/Projects/NUCLEO-H563ZI/${boot_project}/Binary/OEMiROT_Boot.bin" 0xC000000 -v
if [ $? -ne 0 ]; then give_up; return 1; fi
step="protect"
"$stm32programmercli" $attach -ob WRPSGn1=0xFFFFFFF8 WRPSGn2=0xffffffff HDP1_STRT=0 HDP1_END=0xB HDP2_STRT=0x7f HDP2_END=0 SECBOOT_LOCK=0xB4
if [ $? -ne 0 ]; then give_up; return 1; fi
return 0
