package tune

// Sources, by the names that the kernel's documentation tree and section 8 of
// the manual use.
const (
	srcIP      = "ip-sysctl.rst"
	srcNet     = "sysctl/net.rst"
	srcVM      = "sysctl/vm.rst"
	srcKernel  = "sysctl/kernel.rst"
	srcScaling = "networking/scaling.rst"
	srcNAPI    = "networking/napi.rst"
	srcEthtool = "ethtool(8)"
	srcENA     = "ENA driver best practices (amzn-drivers)"
)

// tcpKnobs are the rows that each network namespace has for itself.
func tcpKnobs() []Knob {
	rows := []Knob{
		{Name: "net.ipv4.tcp_fastopen", Group: GroupFastOpen, Rule: Bits, Want: everywhere("3"), Severity: Warn,
			Why:    "data in the SYN: a reconnect asks for its stream one round trip earlier; 1 is clients, 2 servers",
			Source: srcIP + " tcp_fastopen; RFC 7413", Risk: "middleboxes that drop SYN data; the kernel backs off by itself", Needs: NeedRestart},
		{Name: "net.ipv4.tcp_fastopen_blackhole_timeout_sec", Group: GroupFastOpen, Want: lowLatency("0"), Severity: Info,
			Why:    "one path that eats SYN data otherwise switches Fast Open off for the whole host for an hour",
			Source: srcIP, Risk: "connections over such a path are delayed by a SYN time-out each"},
		{Name: "net.ipv4.tcp_rmem", Group: GroupBuffers, Format: Ints, Rule: AtLeast, Severity: Warn,
			Want:   Want{"4096 131072 {bdp:6291456}", "4096 131072 {bdp:16777216}", "4096 131072 {bdp:16777216}"},
			Why:    "the receive window may grow to twice the path's bandwidth-delay product; below that a burst waits for a round trip",
			Source: srcIP + " tcp_rmem", Risk: "memory per connection when the reader is slow", Needs: NeedRestart},
		{Name: "net.ipv4.tcp_wmem", Group: GroupBuffers, Format: Ints, Rule: AtLeast, Severity: Warn,
			Want:   Want{"4096 16384 {bdp:4194304}", "4096 65536 {bdp:16777216}", "4096 65536 {bdp:16777216}"},
			Why:    "the send buffer may grow to twice the path's bandwidth-delay product",
			Source: srcIP + " tcp_wmem", Risk: "memory per connection when the peer is slow", Needs: NeedRestart},
		{Name: "net.ipv4.tcp_moderate_rcvbuf", Group: GroupBuffers, Want: everywhere("1"), Severity: Warn,
			Why:    "receive buffers follow the path; without it they stay at the default of tcp_rmem",
			Source: srcIP, Risk: "none known"},
		{Name: "net.ipv4.tcp_window_scaling", Group: GroupBuffers, Want: everywhere("1"), Severity: Critical,
			Why: "without it no window is larger than 64 KiB", Source: srcIP + "; RFC 7323", Risk: "none known", Needs: NeedRestart},
		{Name: "net.ipv4.tcp_sack", Group: GroupTCP, Want: everywhere("1"), Severity: Warn,
			Why: "after a loss only what is missing is sent again", Source: srcIP + "; RFC 2018", Risk: "none known", Needs: NeedRestart},
		{Name: "net.ipv4.tcp_timestamps", Group: GroupTCP, Rule: AtLeast, Want: everywhere("1"), Severity: Info,
			Why: "round trips are measured on every segment, old duplicates are recognised", Source: srcIP + "; RFC 7323", Risk: "12 bytes per segment", Needs: NeedRestart},
		{Name: "net.ipv4.tcp_slow_start_after_idle", Group: GroupTCP, Want: everywhere("0"), Severity: Warn,
			Why:    "a quiet market idles a connection; the burst after it should not start from ten segments",
			Source: srcIP, Risk: "bursts into a path that has filled up meanwhile"},
		{Name: "net.ipv4.tcp_notsent_lowat", Group: GroupTCP, Rule: AtMost, Want: everywhere("131072"), Severity: Info,
			Why:    "what waits in the socket cannot be conflated any more; keep little unsent there",
			Source: srcIP, Risk: "more wake-ups of bulk senders"},
		{Name: "net.ipv4.tcp_autocorking", Group: GroupTCP, Want: lowLatency("0"), Severity: Info,
			Why:    "small writes leave at once instead of waiting for the device's queue to drain",
			Source: srcIP, Risk: "more and smaller segments"},
		{Name: "net.ipv4.tcp_thin_linear_timeouts", Group: GroupTCP, Want: lowLatency("1"), Severity: Info,
			Why:    "thin streams, as one instrument's trades are, retry after a loss without doubling the time-out at once",
			Source: srcIP + "; tcp-thin.rst", Risk: "more retransmissions into a congested path"},
		{Name: "net.ipv4.tcp_mtu_probing", Group: GroupTCP, Rule: AtLeast, Want: everywhere("1"), Severity: Info,
			Why: "a path that swallows ICMP otherwise hangs a connection at its first large frame", Source: srcIP + "; RFC 4821", Risk: "smaller segments after real losses"},
		{Name: "net.ipv4.tcp_no_metrics_save", Group: GroupTCP, Want: lowLatency("1"), Severity: Info,
			Why: "one bad minute does not set the threshold of the next connection to the exchange", Source: srcIP, Risk: "each connection learns its path anew"},
		{Name: "net.ipv4.tcp_congestion_control", Group: GroupTCP, Format: Choice, Want: Want{AWSENA: "{cc:bbr}"}, Severity: Info,
			Why:    "BBR does not halve its rate for a single loss on a long path; compare with prove on the path itself",
			Source: srcIP, Risk: "shares a narrow link badly with others; before v3 it may retransmit much", Needs: NeedRestart},
		{Name: "net.ipv4.tcp_rto_min_us", Group: GroupTCP, Rule: AtMost, Want: Want{}, Severity: Info,
			Why:    "least retransmission time-out; the default of 200 ms is long between two hosts of one zone",
			Source: srcIP, Risk: "spurious retransmissions where the peer delays its acknowledgements; so no profile sets it"},
		{Name: "net.ipv4.tcp_ecn", Group: GroupTCP, Want: Want{}, Severity: Info,
			Why: "congestion is signalled without a loss where the path supports it", Source: srcIP + "; RFC 3168", Risk: "old middleboxes; no profile sets it", Needs: NeedRestart},
		{Name: "net.core.somaxconn", Group: GroupBacklog, Rule: AtLeast, Want: everywhere("4096"), Severity: Warn,
			Why: "after a network cut all subscribers return in the same second", Source: srcNet + " somaxconn", Risk: "some memory during such a second", Needs: NeedRestart},
		{Name: "net.ipv4.tcp_max_syn_backlog", Group: GroupBacklog, Rule: AtLeast, Want: everywhere("4096"), Severity: Info,
			Why: "as somaxconn, for half-open connections", Source: srcIP, Risk: "some memory under a SYN flood", Needs: NeedRestart},
		{Name: "net.ipv4.tcp_syncookies", Group: GroupBacklog, Rule: AtLeast, Want: everywhere("1"), Severity: Warn,
			Why: "a SYN flood must not lock subscribers out", Source: srcIP, Risk: "none until a flood"},
		{Name: "net.ipv4.ip_local_port_range", Group: GroupBacklog, Format: Ints, Rule: Widen, Want: everywhere("10240 65535"), Severity: Info,
			Why: "a proxy in front opens one local port per subscriber", Source: srcIP, Risk: "services that listen above 10240 need ip_local_reserved_ports", Needs: NeedRestart},
		{Name: "net.ipv4.tcp_fin_timeout", Group: GroupBacklog, Rule: AtMost, Want: everywhere("30"), Severity: Info,
			Why: "orphans of a subscriber storm leave sooner", Source: srcIP, Risk: "none known"},
		{Name: "net.ipv4.tcp_keepalive_time", Group: GroupKeepalive, Rule: AtMost, Want: everywhere("60"), Severity: Info,
			Why: "dead peers of sockets that set nothing themselves are found in minutes, not in two hours; keeps NAT entries alive", Source: srcIP, Risk: "some packets a minute"},
		{Name: "net.ipv4.tcp_keepalive_intvl", Group: GroupKeepalive, Rule: AtMost, Want: everywhere("10"), Severity: Info,
			Why: "as tcp_keepalive_time", Source: srcIP, Risk: "as tcp_keepalive_time"},
		{Name: "net.ipv4.tcp_keepalive_probes", Group: GroupKeepalive, Rule: AtMost, Want: everywhere("6"), Severity: Info,
			Why: "as tcp_keepalive_time", Source: srcIP, Risk: "a path that is away for a minute loses its idle connections"},
	}
	for i := range rows {
		rows[i].PerNetns = true
	}
	return rows
}

// coreKnobs are the sysctls that the host has once.
func coreKnobs() []Knob {
	return []Knob{
		{Name: "net.core.rmem_max", Group: GroupBuffers, Rule: AtLeast, Severity: Warn,
			Want: Want{"{bdp:6291456}", "{bdp:16777216}", "{bdp:16777216}"},
			Why:  "bounds what a socket may ask for by SO_RCVBUF", Source: srcNet + " rmem_max", Risk: "memory, if programs ask for it"},
		{Name: "net.core.wmem_max", Group: GroupBuffers, Rule: AtLeast, Severity: Warn,
			Want: Want{"{bdp:4194304}", "{bdp:16777216}", "{bdp:16777216}"},
			Why:  "bounds what a socket may ask for by SO_SNDBUF", Source: srcNet + " wmem_max", Risk: "memory, if programs ask for it"},
		{Name: "net.core.netdev_max_backlog", Group: GroupBacklog, Rule: AtLeast, Want: Want{"4096", "16384", "16384"}, Severity: Info,
			Why: "packets that wait for a CPU after steering; beyond it they are dropped (column 2 of softnet_stat)", Source: srcNet, Risk: "longer queues under overload"},
		{Name: "net.core.netdev_budget", Group: GroupBacklog, Rule: AtLeast, Want: lowLatency("600"), Severity: Info,
			Why: "a burst is taken from the device in one go (column 3 of softnet_stat counts when it was not)", Source: srcNet, Risk: "threads wait longer for the CPU that polls"},
		{Name: "net.core.busy_read", Group: GroupBusyPoll, Want: lowLatency("50"), Severity: Info,
			Why: "a blocking read polls the device for 50 µs before it sleeps", Source: srcNet + " busy_read", Risk: "CPU time and power; helps only drivers with NAPI busy polling", Needs: NeedRestart},
		{Name: "net.core.busy_poll", Group: GroupBusyPoll, Want: lowLatency("50"), Severity: Info,
			Why: "poll, select and epoll poll the device for 50 µs before they sleep", Source: srcNet + " busy_poll", Risk: "CPU time and power"},
		{Name: "net.core.default_qdisc", Group: GroupTCP, Format: Choice, Want: Want{AWSENA: "fq"}, Severity: Info,
			Why: "paces what BBR sends; for devices that come up afterwards", Source: srcNet + " default_qdisc", Risk: "none known"},
		{Name: "net.core.rps_sock_flow_entries", Group: GroupSteering, Rule: AtLeast, Want: lowLatency("{rfsall}"), Severity: Info,
			Why: "receive flow steering takes a packet to the CPU of the thread that reads it; only where a device has a single queue", Source: srcScaling + " RFS", Risk: "one interrupt between CPUs per batch"},
		{Name: "kernel.numa_balancing", Group: GroupNUMA, Want: lowLatency("0"), Severity: Warn,
			Why: "it unmaps pages to see who touches them: page faults in the hot loop", Source: srcKernel + " numa_balancing", Risk: "programs without placement of their own lose it"},
		{Name: "kernel.nmi_watchdog", Group: GroupKernel, Want: lowLatency("0"), Severity: Info,
			Why: "frees a performance counter and stops a periodic interrupt", Source: srcKernel + " nmi_watchdog", Risk: "hard lock-ups are not reported"},
		{Name: "kernel.timer_migration", Group: GroupKernel, Want: lowLatency("0"), Severity: Info,
			Why: "other CPUs' timers stay away from the hot loop's CPU", Source: srcKernel, Risk: "idle CPUs wake more often"},
		{Name: "vm.stat_interval", Group: GroupKernel, Rule: AtLeast, Want: lowLatency("10"), Severity: Info,
			Why: "fewer kernel worker runs on the hot loop's CPU", Source: srcVM + " stat_interval", Risk: "vmstat figures are older"},
		{Name: "vm.swappiness", Group: GroupMemory, Rule: AtMost, Want: lowLatency("10"), Severity: Info,
			Why: "ring pages should not be swapped; mlock is better", Source: srcVM + " swappiness", Risk: "page cache shrinks first"},
		{Name: "vm.nr_hugepages", Group: GroupMemory, Rule: AtLeast, Want: Want{}, Severity: Info,
			Why: "user-space network stacks want huge pages; set it in a profile of your own", Source: srcVM + "; hugetlbpage.rst", Risk: "the memory is taken at once"},
		{Name: "memory.thp", Group: GroupMemory, Path: "/sys/kernel/mm/transparent_hugepage/enabled", Format: Choice, Want: lowLatency("madvise"), Severity: Info,
			Why: "huge pages for who asks; \"always\" makes page faults compact memory at any time", Source: "mm/transhuge.rst", Risk: "programs that rely on \"always\" get small pages"},
		{Name: "memory.thp_defrag", Group: GroupMemory, Path: "/sys/kernel/mm/transparent_hugepage/defrag", Format: Choice, Want: lowLatency("madvise"), Severity: Info,
			Why: "no compaction in a page fault of who did not ask", Source: "mm/transhuge.rst", Risk: "fewer huge pages"},
	}
}
