/* What the secure application offers to the non-secure one. */
#ifndef SERVICES_H
#define SERVICES_H
#include <stdint.h>

enum service { SERVICE_VERSION, SERVICE_COUNTER, SERVICE_RANDOM, SERVICE_DIGEST, SERVICE_JOURNAL };

struct service_request {
    uint32_t service;
    const void *input;
    uint32_t input_size;
    void *output;
    uint32_t output_size;
};

int32_t secure_call(const struct service_request *request);
uint32_t secure_fault_count(uint32_t clear);
#endif
