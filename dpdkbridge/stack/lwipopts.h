/* lwipopts.h: lwIP as this bridge wants it: no thread, the heap of libc, TCP
 * with large windows, fine timers and enough room for a burst of book updates. */
#ifndef TR_LWIPOPTS_H
#define TR_LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_RAW 0
#define LWIP_STATS 0
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define LWIP_SINGLE_NETIF 1

#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_ARP 1
#define LWIP_ICMP 1
#define LWIP_UDP 0
#define LWIP_DHCP 0
#define LWIP_AUTOIP 0
#define LWIP_DNS 0
#define LWIP_IGMP 0
#define LWIP_IPV6_MLD 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_DHCP6 0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_ND6_ALLOW_RA_UPDATES 0
#define LWIP_ND6_NUM_NEIGHBORS 64
#define LWIP_ND6_NUM_DESTINATIONS 64
#define LWIP_ND6_MAX_MULTICAST_SOLICIT 5
#define IP_REASSEMBLY 1
#define IP_FRAG 0
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_REASS 0
#define ARP_TABLE_SIZE 127
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 64
#define ETHARP_SUPPORT_STATIC_ENTRIES 1
#define ETHARP_SUPPORT_VLAN 0

/* 20 ms steps of the retransmission timer, 10 ms of delayed acknowledgements;
 * lwIP's own 500 and 250 are meant for devices that sleep. */
#define TCP_TMR_INTERVAL 10
/* Initial retransmission time (RFC 6298 2.1). lwIP's default of 3 s is what a
 * lost first segment costs: recover.c replaces it after the first round trip. */
#define LWIP_TCP_RTO_TIME 1000
#define TCP_MSL 30000UL
#define TCP_MAXRTX 12
#define TCP_SYNMAXRTX 8

#define LWIP_TCP 1
#define TCP_MSS 8960
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 5
#define TCP_WND (768 * 1024)
#define TCP_SND_BUF (1024 * 1024)
#define TCP_SND_QUEUELEN 8192
#define TCP_SNDLOWAT 20000
#define TCP_SNDQUEUELOWAT 6144
#define MEMP_NUM_TCP_SEG 65535
/* Of the window that this peer can be given: without window scaling that is 64
 * KiB, and an eighth of ours would never be reached. tcp_recved has a pcb. */
#define TCP_WND_UPDATE_THRESHOLD (TCP_WND_MAX(pcb) / 8)
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
#define LWIP_TCP_TIMESTAMPS 1
#define LWIP_TCP_KEEPALIVE 1
#define TCP_QUEUE_OOSEQ 1
/* Out-of-order segments pin receive buffers: none more when those run short. */
#define TCP_OOSEQ_MAX_BYTES TCP_WND
#define TCP_OOSEQ_MAX_PBUFS 1024
#define TCP_OOSEQ_PBUFS_LIMIT(pcb) tr_ooseq_limit()
#define TCP_LISTEN_BACKLOG 0
#define TCP_OVERSIZE 512
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_CHECKSUM_ON_COPY 0
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1 /* an orphan, see conn.c */

unsigned short tr_ooseq_limit(void);
struct netif;
struct tcp_pcb;
struct tcp_hdr;
struct pbuf;

#define LWIP_HOOK_FILENAME "hooks.h"

#endif
