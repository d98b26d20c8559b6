package amino

import "github.com/ipfs/boxo/ipns"

// IPNS validates the records of the InterPlanetary Name System: the key is "/ipns/" and
// the bytes of the ID of the key pair that signs. It does as boxo does: an expired record
// is refused, and the highest sequence number wins, then the later expiry, then the
// greater bytes. The zero value needs the public key in the record or in the ID, where it
// is by default; Validator.KeyBook is another place to look.
type IPNS struct{ ipns.Validator }
