package tune

// nicKnobs are the rows with one setting per device, queue or interrupt.
func nicKnobs() []Knob {
	const queues = "/sys/class/net/{iface}/queues/"
	return []Knob{
		{Name: "irq.affinity", Group: GroupIRQ, Path: "/proc/irq/{irq}/smp_affinity_list", Format: List, Want: lowLatency("{irqcpu}"), Severity: Info,
			Why:    "each queue interrupts one CPU of the device's own node, none that is isolated",
			Source: "core-api/irq/irq-affinity.rst; " + srcScaling, Risk: "irqbalance moves it back unless banned; some interrupts are managed by the kernel and refuse"},
		{Name: "nic.rps_cpus", Group: GroupSteering, Path: queues + "{rxq}/rps_cpus", Format: Mask, Want: lowLatency("{rps}"), Severity: Info, PerNetns: true,
			Why:    "with several hardware queues software steering only adds an interrupt between CPUs; with one queue it spreads the work over the node",
			Source: srcScaling + " RPS", Risk: "reordering for a moment at the change"},
		{Name: "nic.rps_flow_cnt", Group: GroupSteering, Path: queues + "{rxq}/rps_flow_cnt", Want: lowLatency("{rfs}"), Severity: Info, PerNetns: true,
			Why: "the queue's share of rps_sock_flow_entries", Source: srcScaling + " RFS", Risk: "some memory"},
		{Name: "nic.xps_cpus", Group: GroupSteering, Path: queues + "{txq}/xps_cpus", Format: Mask, Want: lowLatency("{xps}"), Severity: Info, PerNetns: true,
			Why: "each CPU sends on a queue of its own: no lock between CPUs, completion where it was sent", Source: srcScaling + " XPS", Risk: "reordering for a moment at the change"},
		{Name: "nic.adaptive-rx", Group: GroupCoalescing, Path: "nic:{iface}/coalesce/adaptive-rx", Format: OnOff, Want: lowLatency("off"), Severity: Info,
			Why:    "the driver otherwise raises the interrupt delay whenever traffic grows, just when it matters",
			Source: srcEthtool + " -C; " + srcENA, Risk: "more interrupts under load", Needs: NeedDriver},
		{Name: "nic.rx-usecs", Group: GroupCoalescing, Path: "nic:{iface}/coalesce/rx-usecs", Rule: AtMost, Want: lowLatency("0"), Severity: Warn,
			Why:    "the device interrupts at once instead of waiting for more packets",
			Source: srcEthtool + " -C; " + srcENA, Risk: "more interrupts under load", Needs: NeedDriver},
		{Name: "nic.tx-usecs", Group: GroupCoalescing, Path: "nic:{iface}/coalesce/tx-usecs", Rule: AtMost, Want: lowLatency("0"), Severity: Info,
			Why: "completions free socket memory at once", Source: srcEthtool + " -C; " + srcENA, Risk: "more interrupts under load", Needs: NeedDriver},
		{Name: "nic.rx-frames", Group: GroupCoalescing, Path: "nic:{iface}/coalesce/rx-frames", Severity: Info,
			Why:    "packets until an interrupt; what 0 means differs between drivers, so no profile sets it",
			Source: srcEthtool + " -C", Risk: "depends on the driver", Needs: NeedDriver},
		{Name: "nic.rx-ring", Group: GroupRings, Path: "nic:{iface}/ring/rx", Rule: AtLeast, Want: Want{"{ring:1024}", "{ring:2048}", "{ring:4096}"}, Severity: Info,
			Why:    "a burst fits until the CPU comes; beyond it the device drops",
			Source: srcEthtool + " -G; " + srcENA, Risk: "the link may blink; a larger ring is colder in the cache", Needs: NeedDriver},
		{Name: "nic.tx-ring", Group: GroupRings, Path: "nic:{iface}/ring/tx", Rule: AtLeast, Want: Want{"{ring:512}", "{ring:1024}", "{ring:1024}"}, Severity: Info,
			Why: "fan-out bursts fit", Source: srcEthtool + " -G", Risk: "the link may blink", Needs: NeedDriver},
		{Name: "nic.lro", Group: GroupOffloads, Path: "nic:{iface}/feature/large-receive-offload", Format: OnOff, Want: everywhere("off"), Severity: Info,
			Why: "holds packets back to merge them and loses their boundaries", Source: srcEthtool + " -K", Risk: "more CPU time for bulk transfers", Needs: NeedDriver},
		{Name: "nic.gro-hw", Group: GroupOffloads, Path: "nic:{iface}/feature/rx-gro-hw", Format: OnOff, Want: lowLatency("off"), Severity: Info,
			Why: "as lro, in hardware", Source: srcEthtool + " -K", Risk: "more CPU time for bulk transfers", Needs: NeedDriver},
		{Name: "nic.gro", Group: GroupOffloads, Path: "nic:{iface}/feature/generic-receive-offload", Format: OnOff, Severity: Info,
			Why: "merges packets of one poll; costs little, saves much for subscribers; no profile sets it", Source: srcEthtool + " -K", Risk: "off: more CPU time per packet", Needs: NeedDriver},
		{Name: "nic.napi_defer_hard_irqs", Group: GroupBusyPoll, Path: "/sys/class/net/{iface}/napi_defer_hard_irqs", Severity: Info, PerNetns: true,
			Why: "with sockets that prefer busy polling, interrupts stay masked while a thread polls; no profile sets it", Source: srcNAPI + " IRQ mitigation", Risk: "packets wait for gro_flush_timeout when nobody polls"},
		{Name: "nic.gro_flush_timeout", Group: GroupBusyPoll, Path: "/sys/class/net/{iface}/gro_flush_timeout", Severity: Info, PerNetns: true,
			Why: "ns until a device with deferred interrupts is looked at; goes with napi_defer_hard_irqs", Source: srcNAPI + " IRQ mitigation", Risk: "latency up to this value"},
	}
}

// cpuKnobs are the rows with one setting per CPU.
func cpuKnobs() []Knob {
	return []Knob{
		{Name: "cpu.governor", Group: GroupCPU, Path: "/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor", Format: Choice, Want: lowLatency("performance"), Severity: Warn,
			Why: "a CPU that polls little is clocked down just before the burst", Source: "admin-guide/pm/cpufreq.rst", Risk: "power and heat", Needs: NeedDriver},
		{Name: "cpu.dma_latency", Group: GroupWakeup, Path: dmaLatency, Format: Int, Want: lowLatency("0"), Severity: Warn, Persist: PersistHeld,
			Why:    "an open descriptor of /dev/cpu_dma_latency that holds 0 keeps idle CPUs out of deep states: wake-ups in a few µs instead of tens",
			Source: "power/pm_qos_interface.rst", Risk: "power and heat; on hyper-threads the sibling loses turbo", check: checkWakeup},
	}
}
