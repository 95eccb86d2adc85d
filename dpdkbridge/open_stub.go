//go:build !dpdk

package dpdkbridge

// Built reports whether this build has DPDK.
const Built = false

// Open opens a port; this build cannot and returns ErrNotBuilt.
func Open(Config) (Bridge, error) { return nil, ErrNotBuilt }
