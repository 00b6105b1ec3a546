#!/bin/bash
source ../env.sh
attach="-c port=SWD speed=fast ap=1 mode=Hotplug"
sorry()
{
  echo "stopped: $1"
  exit 1
}
source ob_flash_programming.sh AUTO > flash.log
if [ $? -ne 0 ]; then sorry "flashing"; fi
read -p "state [ OPEN | PROVISIONED | TZ-CLOSED | CLOSED | LOCKED ]: " state
state=$(echo $state | tr '[:lower:]' '[:upper:]')
case "$state" in
  PROVISIONED) value=0x2E ;;
  TZ-CLOSED) value=0xC6 ;;
  CLOSED) value=0x72 ;;
  LOCKED) value=0x5C ;;
  *) sorry "no such state" ;;
esac
"$stm32programmercli" $attach -ob PRODUCT_STATE=0x17
if [ $? -ne 0 ]; then sorry "provisioning"; fi

source obkey_programming.sh AUTO > store.log
if [ $? -ne 0 ]; then sorry "storing"; fi
"$stm32programmercli" $attach -ob PRODUCT_STATE=$value
echo "done, look at the state with a discovery"

