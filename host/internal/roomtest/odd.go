package roomtest

import (
	"testing"

	"github.com/multiformats/go-multiaddr"
)

// parts has an address of one component for each protocol that has values, some of them with
// several kinds of values.
var parts = []string{ //nolint:gochecknoglobals // a constant
	"/ip4/8.8.8.8", "/ip4/192.168.1.1", "/ip4/0.0.0.0", "/ip6/2001:4860::1", "/ip6/::ffff:8.8.8.8", "/ip6/64:ff9b::808:808", "/ip6zone/eth0",
	"/ipcidr/24", "/dns/example.org", "/dns4/localhost", "/dns6/a.test", "/dnsaddr/example.org", "/sni/example.org",
	"/tcp/1", "/udp/65535", "/dccp/1", "/sctp/0", "/memory/1", "/unix/a", "/http-path/a",
	"/onion/timaq4ygg2iegci7:1234", "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
	"/garlic64/jT~IyXaoauTni6N4517EG8mrFUKpy0IlgZh-EY9csMAk82Odatmzr~YTZy8Hv7u~wvkg75EFNOyqb~nAPg-khyp2TS~ObUz8WlqYAM2VlEzJ7wJB91P-cUlKF18zSzVoJFmsrcQHZCirSbWoOknS6iNmsGRh5KVZsBEfp1Dg3gwTipTRIx7Vl5Vy~1OSKQVjYiGZS9q8RL0MF~7xFiKxZDLbPxk0AK9TzGGqm~wMTI2HS0Gm4Ycy8LYPVmLvGonIBYndg2bJC7WLuF6tVjVquiokSVDKFwq70BCUU5AU-EvdOD5KEOAM7mPfw-gJUG4tm1TtvcobrObqoRnmhXPTBTN5H7qDD12AvlwFGnfAlBXjuP4xOUAISL5SRLiulrsMSiT4GcugSI80mF6sdB0zWRgL1yyvoVWeTBn1TqjO27alr95DGTluuSqrNAxgpQzCKEWAyzrQkBfo2avGAmmz2NaHaAvYbOg0QSJz1PLjv2jdPW~ofiQmrGWM1cd~1cCqAAAA",
	"/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq",
	"/certhash/uEiB6nXBZ8mYXrCYAMXWf5cRAFv5fXZZ5sN3ZrJcZQ0pFkw",
	"/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
}

// OddAddrs returns addresses that no transport has, or that are rare: none at all, without
// components, of one component of any protocol, of any two in any order, and with any one
// behind an address of usual form.
func OddAddrs(t testing.TB) []multiaddr.Multiaddr {
	t.Helper()
	single, known := Addrs(parts...), make(map[int]bool)
	for _, a := range single {
		known[a[0].Code()] = true
	}
	for _, p := range multiaddr.Protocols {
		switch {
		case known[p.Code]:
		case p.Size != 0:
			t.Fatalf("there is no example of a %s address", p.Name)
		default:
			single = append(single, multiaddr.StringCast("/"+p.Name))
		}
	}
	addrs := []multiaddr.Multiaddr{nil, {}, {multiaddr.Component{}}}
	addrs = append(addrs, single...)
	usual := multiaddr.StringCast("/ip4/8.8.8.8/udp/1/quic-v1")
	for _, a := range single {
		for _, b := range single {
			addrs = append(addrs, a.Encapsulate(b))
		}
		addrs = append(addrs, usual.Encapsulate(a), a.Encapsulate(usual))
	}
	return addrs
}
