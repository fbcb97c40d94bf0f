package suite

import "testing"

// TestPorts: whatever the base, every part has a port of its own that a user may take.
func TestPorts(t *testing.T) {
	for _, base := range []int{1024, 3000, 6937, 7961, DefaultPort, 18080, 65526} {
		taken := map[int]string{}
		for _, p := range ports {
			port := p.port(base)
			if port < 1024 || port > 65535 || taken[port] != "" {
				t.Errorf("base %d: %s has port %d, which %q has", base, p.name, port, taken[port])
			}
			taken[port] = p.name
		}
	}
	if a := DefaultAddrs(); a.SMTP != "127.0.0.1:2525" || a.IMAP != "127.0.0.1:1143" || a.HTTP != "127.0.0.1:8080" {
		t.Errorf("by default: %+v", a)
	}
}
