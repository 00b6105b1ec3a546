@echo off
set stm32programmercli="C:\ST\bin\STM32_Programmer_CLI.exe"
set appli_project=Applications\ROT\OEMiROT_Appli_TrustZone
