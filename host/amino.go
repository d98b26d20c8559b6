package host

import (
	"github.com/ipfs/boxo/ipns"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
)

// aminoNetwork is the name of the public IPFS network.
const aminoNetwork = "/ipfs"

// Amino returns the Config of the public IPFS network: the protocol
// /ipfs/kad/1.0.0, k = 20, /pk and /ipns records and nothing else, and the
// bootstrap peers that its maintainers run. Records last for 48h wherever they
// are; publishers republish, and holders do not. Change what you like before you
// give it to [New], but not Network and K.
func Amino() Config {
	return Config{
		Network:   aminoNetwork,
		K:         20,
		Bootstrap: aminoBootstrap(),

		ReplicateInterval: -1,
		HandoverRate:      -1,
		DisableCaching:    true,

		Validators: map[string]record.Validator{
			"pk":   record.PublicKeyValidator{},
			"ipns": ipns.Validator{},
		},
	}
}

// aminoBootstrap returns the bootstrap peers of the public IPFS network.
func aminoBootstrap() []peer.AddrInfo {
	addrs := []string{
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
		"/dnsaddr/va1.bootstrap.libp2p.io/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8",
		"/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
		"/ip4/104.131.131.82/udp/4001/quic-v1/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
	}
	peers, err := ParseAddrs(addrs...)
	if err != nil {
		panic(err) // constants: a test parses them
	}
	return peers
}
