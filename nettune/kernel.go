package nettune

// Kernel is the transport over the Linux kernel's own sockets.
type Kernel struct{}

// KernelTransport returns the transport over the kernel's sockets and epoll.
func KernelTransport() *Kernel { return &Kernel{} }

// Name returns "kernel".
func (k *Kernel) Name() string { return "kernel" }

// NewPoller returns a poller over epoll.
func (k *Kernel) NewPoller(cfg PollerConfig) (Poller, error) { return nil, ErrNotSupported }
