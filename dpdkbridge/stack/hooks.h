/* hooks.h: where lwIP asks this bridge. */
#ifndef TR_HOOKS_H
#define TR_HOOKS_H

#include "lwip/ip_addr.h"
#include "lwip/err.h"

struct netif;
struct tcp_pcb;
struct tcp_hdr;
struct pbuf;

const ip4_addr_t *tr_gateway4(struct netif *n, const ip4_addr_t *dest);
const ip6_addr_t *tr_gateway6(struct netif *n, const ip6_addr_t *dest);
unsigned int tr_isn(const ip_addr_t *la, unsigned short lp, const ip_addr_t *ra, unsigned short rp);
err_t tr_before_input(struct tcp_pcb *pcb, struct tcp_hdr *h, unsigned short optlen, unsigned short opt1len,
                      unsigned char *opt2, struct pbuf *p);

#define LWIP_HOOK_ETHARP_GET_GW(netif, dest) tr_gateway4(netif, dest)
#define LWIP_HOOK_ND6_GET_GW(netif, dest) tr_gateway6(netif, dest)
#define LWIP_HOOK_TCP_ISN(la, lp, ra, rp) tr_isn(la, lp, ra, rp)
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, hdr, optlen, opt1len, opt2, p) tr_before_input(pcb, hdr, optlen, opt1len, opt2, p)

#endif
