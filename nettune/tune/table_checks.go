package tune

// hostChecks are the rows that are looked at and never written: they belong to
// the boot line, to whoever starts the process, or to a daemon.
func hostChecks() []Knob {
	rows := []Knob{
		{Name: "irq.irqbalance", Group: GroupIRQ, Severity: Warn, Needs: NeedOwner, check: checkIRQBalance,
			Why: "irqbalance moves queue interrupts every ten seconds unless they or their CPUs are banned", Source: "irqbalance(1)", Risk: "banned interrupts stay where they are put"},
		{Name: "nic.ena_allowance", Group: GroupOffloads, Severity: Critical, Needs: NeedOwner, check: checkENA,
			Why: "the instance's bandwidth, packet or connection allowance was exceeded and packets were queued or dropped", Source: "EC2 user guide, ENA metrics", Risk: "a larger instance costs more"},
		{Name: "nic.softnet", Group: GroupBacklog, Severity: Warn, Needs: NeedOwner, check: checkSoftnet,
			Why: "packets dropped because a CPU's backlog was full, or polls cut short by the budget", Source: srcScaling + "; " + srcNet, Risk: "see netdev_max_backlog, netdev_budget"},
		{Name: "cpu.quota", Group: GroupCPU, Severity: Critical, Needs: NeedOwner, check: checkQuota,
			Why: "a control group's CPU quota stops every thread for the rest of a period: pauses of tens of ms", Source: "cgroup-v2.rst cpu.max; scheduler/sched-bwc.rst", Risk: "without a quota use CPU weights or a CPU set"},
		{Name: "cpu.affinity", Group: GroupCPU, Severity: Info, Needs: NeedOwner, check: checkAffinity,
			Why: "a hot loop on a CPU of its own keeps its caches and is not preempted", Source: "sched_setaffinity(2)", Risk: "a pinned CPU is lost to others"},
		{Name: "cpu.isolated", Group: GroupCPU, Severity: Info, Needs: NeedReboot, check: checkIsolated,
			Why: "isolated CPUs run nothing but what is pinned to them", Source: "admin-guide/kernel-parameters.txt isolcpus, nohz_full, rcu_nocbs", Risk: "the CPUs are lost to everything else"},
		{Name: "cpu.smt", Group: GroupCPU, Severity: Info, Needs: NeedReboot, check: checkSMT,
			Why: "two threads of one core share its caches and ports: leave the hot loop's sibling idle", Source: "ABI/testing/sysfs-devices-system-cpu smt", Risk: "half the logical CPUs"},
		{Name: "numa.process", Group: GroupNUMA, Severity: Warn, Needs: NeedOwner, check: checkProcessNode,
			Why: "a thread on the other node reads every packet across the interconnect", Source: "numa(7)", Risk: "the node's CPUs are shared by all who do so"},
		{Name: "numa.memory", Group: GroupNUMA, Severity: Warn, Needs: NeedOwner, check: checkMemoryNode,
			Why: "rings and heap should lie on the node of the device and the hot loop", Source: "numa_maps in proc(5)", Risk: "a node's memory may run out"},
		{Name: "limits.memlock", Group: GroupLimits, Severity: Info, Needs: NeedOwner, check: checkMemlock,
			Why: "rings can be locked in memory only below this limit", Source: "getrlimit(2) RLIMIT_MEMLOCK", Risk: "locked memory cannot be reclaimed"},
		{Name: "limits.nofile", Group: GroupLimits, Severity: Warn, Needs: NeedOwner, check: checkNofile,
			Why: "each subscriber is a descriptor", Source: "getrlimit(2) RLIMIT_NOFILE", Risk: "none known"},
		{Name: "limits.rtprio", Group: GroupLimits, Severity: Info, Needs: NeedOwner, check: checkRtprio,
			Why: "a real-time priority for a pinned hot loop needs this limit or CAP_SYS_NICE", Source: "sched(7)", Risk: "a spinning real-time thread starves its CPU"},
		{Name: "container.network", Group: GroupContainer, Severity: Warn, Needs: NeedOwner, check: checkContainerNetwork,
			Why: "a bridge or NAT in front of a container costs a second pass through the stack and a connection-tracking entry", Source: "Docker manual, network drivers", Risk: "host networking shares the host's ports"},
		{Name: "container.shm", Group: GroupContainer, Severity: Critical, Needs: NeedOwner, check: checkShm,
			Why: "rings live in /dev/shm; writing beyond its size is a SIGBUS", Source: "tmpfs(5)", Risk: "memory"},
		{Name: "clock.sync", Group: GroupClock, Severity: Warn, Needs: NeedOwner, check: checkClock,
			Why: "latencies against the exchange's time are as good as the clock", Source: "adjtimex(2)", Risk: "none"},
		{Name: "clock.source", Group: GroupClock, Severity: Warn, Needs: NeedReboot, check: checkClockSource,
			Why: "with tsc, kvm-clock or an arm timer reading the clock takes no system call", Source: "timers/timekeeping.rst; vdso(7)", Risk: "a TSC that is not synchronised runs apart between CPUs"},
	}
	for i := range rows {
		rows[i].Persist = PersistAdvice
	}
	return rows
}
