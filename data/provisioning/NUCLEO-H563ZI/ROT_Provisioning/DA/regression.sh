#!/bin/bash
source ../env.sh
"$stm32programmercli" -c port=SWD per=a key=./Keys/leaf.pem cert=./Certificates/chain.b64 pwd=./Binary/password.bin debugauth=1
if [ $? -ne 0 ]; then echo "no way back"; exit 1; fi
