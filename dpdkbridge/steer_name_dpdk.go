//go:build dpdk

package dpdkbridge

import "github.com/cilium/ebpf"

// programName is the name of a loaded program, "" if it cannot be known.
func programName(id uint32) string {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return ""
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}
