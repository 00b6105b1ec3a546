@echo off
call ..\env.bat
setlocal EnableDelayedExpansion
set attach=-c port=SWD speed=fast ap=1 mode=Hotplug
%stm32programmercli% %attach% -ob TZEN=0xB4
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -ob SECWM1_STRT=1 SECWM1_END=0 WRPSGn1=0xffffffff WRPSGn2=0xffffffff SECWM2_STRT=1 SECWM2_END=0 HDP1_STRT=1 HDP1_END=0 HDP2_STRT=1 HDP2_END=0 SECBOOT_LOCK=0xC3 SECBOOTADD=0xC0000 SWAP_BANK=0 BOOT_UBE=0xB4 -e all
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -ob SECWM1_STRT=0 SECWM1_END=0xE SECWM2_STRT=0x7f SECWM2_END=0x0
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -d ..\..\%appli_project%\Binary\my_s_app_init_sign.hex -v
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -d ..\..\%appli_project%\Binary\my_ns_app_init_sign.hex -v
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -d ..\..\Applications\ROT\OEMiROT_Boot\Binary\OEMiROT_Boot.bin 0xC000000 -v
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -ob WRPSGn1=0xFFFFFFF8 WRPSGn2=0xffffffff HDP1_STRT=0 HDP1_END=0xB HDP2_STRT=0x7f HDP2_END=0 SECBOOT_LOCK=0xB4
if !errorlevel! neq 0 goto :sorry
set /p "state=state [ PROVISIONED | TZ-CLOSED | CLOSED | LOCKED ]: "
if /i "!state!" == "CLOSED" (
  set value=0x72
) else if /i "!state!" == "LOCKED" (
  set value=0x5C
) else if /i "!state!" == "TZ-CLOSED" (
  set value=0xC6
) else (
  set value=0x2E
)
%stm32programmercli% %attach% -ob PRODUCT_STATE=0x17
if !errorlevel! neq 0 goto :sorry

%stm32programmercli% %attach% -sdp ../DA/Binary/DA_Config.obk
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -sdp Binary/OEMiRoT_Config.obk
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -sdp Binary/OEMiRoT_Data.obk
if !errorlevel! neq 0 goto :sorry

%stm32programmercli% %attach% -ob PRODUCT_STATE=!value!
exit 0
:sorry
echo stopped
exit 1
