package tune

import (
	"fmt"
	"strings"
)

// SysctlFile is a drop-in for sysctl.d(5) with the sysctls of a profile, for images and
// fleets that are configured before the relay runs there. It differs from what Apply
// does on a host: values are written even where the host's are better, those that depend
// on the path are the profile's floors unless it knows RTT and bandwidth, and what is no
// sysctl is left out. A name that the kernel does not have is passed over at boot.
func SysctlFile(p Profile) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The sysctls of profile %s, by: tickrelay tune sysctl --profile %s\n", p.title(), p.title())
	b.WriteString("# Values that are larger on this host already are set back: compare with tickrelay tune plan.\n")
	s := &survey{o: Options{Profile: p}}
	for _, group := range Groups() {
		head := fmt.Sprintf("\n# %s\n", group)
		for _, k := range Table() {
			name, want := sysctlName(k.Path), s.written(p.want(&k))
			if k.Group != group || name == "" || want == "" || k.Persist != PersistSysctl || strings.Contains(k.Path, "{") {
				continue
			}
			fmt.Fprintf(&b, "%s-%s = %s\n", head, name, want)
			head = ""
		}
	}
	return b.String()
}

// written fills in what needs no host; "" where it takes one. An algorithm that the
// kernel may not have is refused at boot, and the one in use stays.
func (s *survey) written(want string) string {
	if at := strings.Index(want, "{cc:"); at >= 0 {
		return strings.TrimSuffix(want[at+len("{cc:"):], "}")
	}
	if strings.Contains(want, "{") && !strings.Contains(want, "{bdp:") {
		return ""
	}
	v, _ := s.expand(want, place{})
	return v
}
