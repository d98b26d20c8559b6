// Package amino has what the public IPFS network needs: its Config, and the validator of
// IPNS. It is apart from package host so that programs of other networks do not link boxo.
package amino

import (
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

// network is the name of the public IPFS network.
const network = "/ipfs"

// Config returns the Config of the public IPFS network: the protocol
// /ipfs/kad/1.0.0, k = 20, /pk and /ipns records and no other, and the bootstrap peers
// that its maintainers run. Records last for 48h wherever they are; publishers publish
// them again, and holders do not replicate them. Change what you like before you give it
// to [kad.New], except Network and K.
func Config() kad.Config {
	return kad.Config{
		Network:   network,
		K:         20,
		Bootstrap: bootstrap(),

		PublisherOnly: true,

		Validators: map[string]record.Validator{
			"pk":   record.PublicKeyValidator{},
			"ipns": IPNS{},
		},
	}
}

// bootstrap returns the bootstrap peers of the public IPFS network.
func bootstrap() []peer.AddrInfo {
	addrs := []string{
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
		"/dnsaddr/va1.bootstrap.libp2p.io/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8",
		"/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
		"/ip4/104.131.131.82/udp/4001/quic-v1/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
	}
	peers, err := kad.ParseAddrs(addrs...)
	if err != nil {
		panic(err) // constants: a test parses them
	}
	return peers
}
