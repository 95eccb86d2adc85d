// Package nic brings a network card from the kernel's driver to DPDK's and back,
// and says what a host lacks for that.
//
//	Check: NIC, driver, IOMMU, vfio, huge pages, NUMA, memlock, ENA ─▶ findings with the command that fixes each
//	Bind:  refuse the way in ─▶ journal ─▶ link down ─▶ driver_override ─▶ unbind, probe
//	Unbind: probe the old driver ─▶ interface back ─▶ MTU, addresses, routes ─▶ journal removed
//
// The journal is written before anything is changed and holds all that Unbind
// restores, so an interrupted Bind can be undone too. Everything is read and
// written below Host.Root: the tests run against a tree of files. Bind refuses
// the interface that carries a default route or the SSH session it is called
// from, unless forced. It needs root, and loads no modules by itself.
package nic
