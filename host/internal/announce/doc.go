// Package announce has the encoded forms of a peer: cut by scope, signed by a provider
// (a proof), or by the peer itself (a certificate), and as a holder keeps it. It is
// pure: no lock, no clock, no host.
package announce

import "time"

// PresenceLifetime is how long a holder keeps a presence that is not renewed: a peer
// that disappears is not found after that. Other implementations keep the record for up
// to 48h and its addresses for 24h, or for 30m if they are old.
const PresenceLifetime = time.Hour
