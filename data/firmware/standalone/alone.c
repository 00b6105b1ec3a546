/* Without TrustZone there is no secure side: every call of it is refused. */
#include "../secure/services.h"

static uint32_t refused;

int32_t secure_call(const struct service_request *request)
{
    (void)request;
    refused++;
    return -1;
}

uint32_t secure_fault_count(uint32_t clear)
{
    uint32_t n = refused;
    if (clear)
        refused = 0;
    return n;
}
