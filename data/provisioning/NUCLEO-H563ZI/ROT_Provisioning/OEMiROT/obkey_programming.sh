#!/bin/bash
source ../env.sh
attach="-c port=SWD speed=fast ap=1 mode=Hotplug"
reset="-c port=SWD speed=fast ap=1 mode=Hotplug -hardRst"
"$stm32programmercli" $reset
"$stm32programmercli" $attach -sdp ../DA/Binary/DA_Config.obk
if [ $? -ne 0 ]; then echo "not stored"; return 1; fi
"$stm32programmercli" $reset
"$stm32programmercli" $attach -sdp Binary/OEMiRoT_Config.obk
if [ $? -ne 0 ]; then echo "not stored"; return 1; fi
"$stm32programmercli" $reset
"$stm32programmercli" $attach -sdp Binary/OEMiRoT_Data.obk
if [ $? -ne 0 ]; then echo "not stored"; return 1; fi

return 0
