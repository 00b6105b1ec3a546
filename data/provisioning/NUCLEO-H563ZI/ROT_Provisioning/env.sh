#!/bin/bash
here=$( cd -- "$( dirname -- "${BASH_SOURCE[0]}" )" &> /dev/null && pwd )
stm32programmercli="STM32_Programmer_CLI"
appli_project=Applications/ROT/OEMiROT_Appli_TrustZone
boot_project=Applications/ROT/OEMiROT_Boot
package=$here/../../../
s_image=my_s_app_init_sign.hex
ns_image=my_ns_app_init_sign.hex
