package host

import "testing"

// Addresses of one peer become one entry; the error names an address that does not parse,
// and what it lacks.
func TestParseAddrs(t *testing.T) {
	infos, err := ParseAddrs(aPublic+"/p2p/"+aRelay, aPrivate+"/p2p/"+aRelay, aPrivate+"/p2p/"+aPeer.String())
	if err != nil || len(infos) != 2 || len(infos[0].Addrs) != 2 || infos[1].ID != aPeer {
		t.Errorf("ParseAddrs() = %v, %v; want two peers, the first with two addresses", infos, err)
	}
	for addr, want := range map[string]string{
		"localhost:4001":       "is not the address of a peer",
		aPublic:                "is not the address of a peer",
		"/p2p/" + aRelay:       "put its address before /p2p/",
		aPublic + "/p2p/Qmxxx": "is not the address of a peer",
	} {
		_, err := ParseAddrs(addr)
		if err == nil {
			t.Errorf("ParseAddrs(%q) took it", addr)
			continue
		}
		mentions(t, err.Error(), addr, want)
	}
}
