/* cc.h: the compiler and the platform, as lwIP wants them described. */
#ifndef TR_CC_H
#define TR_CC_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#ifndef BYTE_ORDER
#define BYTE_ORDER LITTLE_ENDIAN
#endif
#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_PLATFORM_DIAG(x) do { } while (0)
#define LWIP_PLATFORM_ASSERT(x) do { fprintf(stderr, "tickrelay: lwIP: %s\n", x); abort(); } while (0)
#define PACK_STRUCT_STRUCT __attribute__((packed))

unsigned int tr_random(void);
#define LWIP_RAND() tr_random()

#endif
