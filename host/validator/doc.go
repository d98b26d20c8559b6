// Package validator has the record validators that most networks need: values
// for Config.Validators of package host, which maps a namespace to the validator of
// the keys "/namespace/rest". The zero value of each works.
//
//	            a key is                 what a valid value proves            of several values
//	Immutable   /ns/hash                 it is what was hashed                there is only one
//	Signed      /ns/owner[/name]         the owner signed it for this key     the highest sequence number
//	SignedSet   /ns/anything             its owner signed it for this key     one of each owner, as Signed
//	PublicKey   /pk/ID in bytes          it is the key that the ID names      there is only one
//
// And what none of them does. A value is not secret. It is there for as long as
// peers keep it: [Immutable] cannot be forged, but it can be gone. A holder may
// serve an older value although there is a newer one, which is why a get asks several.
// And once the newest value of an owner has expired everywhere, anybody who kept an older
// one may put that again: a reader that has to notice remembers the sequence
// number it saw last.
//
// A validator of your own may have a Select that prefers none of two values: it returns the
// first one, or the last one, whatever their order. Of such values, the DHT takes the one
// that was put later. A put replaces what a holder has; a copy, which holders pass on,
// replaces it if it expires later, by more than a minute; a get takes the value that
// expires last, and of those within a minute the one that most holders gave. So an update
// wins, and copies of the value before it do not bring that back. All publishers must use
// the same Config.RecordAge for that. Without an order of their own, values have no
// protection against an older one that is put again: use a sequence number, as [Signed]
// has it, where that matters.
//
// Validate is asked about bytes from strangers, and so is [Open]: they return
// an error that says what is wrong with a key or value, whatever it is, and look
// at [MaxKey] and [MaxValue] bytes at most. Select and Reduce are asked about values
// that passed Validate; they check no signature again, and fail if a value cannot be read. All
// may be called from several goroutines at once.
//
// # Signed values
//
// [Sign] makes the values of [Signed] and [SignedSet]: a libp2p signed envelope
// in the domain "kad-signed-entry", with the payload type "/kad/signed-entry/1" and the
// payload
//
//	message Entry {
//	  bytes key = 1;   // the record key, all of it
//	  uint64 seq = 2;
//	  bytes data = 3;
//	}
//
// in proto3: fields in this order, and none that is zero or empty. The key is
// signed too, so a value is good under one key only. What puts it into
// another namespace, or under another name of the same owner, is refused. It is good under
// that key in every network that has such a namespace.
//
// The sequence number is any that grows. A counter needs to be remembered; the
// time in milliseconds does not. There is nothing after the greatest one, 2^64-1: who
// signs it has closed the key.
//
// Nothing can be taken back from a DHT, only superseded. To remove a value, sign
// one that the application understands as removed, with no data for example, and
// publish it for at least as long as records live.
//
// # Decisions
//
// One encoding for one value. Context: protobuf reads many byte strings as the
// same message. Whoever pads a valid value with a field that nobody reads gets
// another valid value, up to the size limit, and validators that break ties by bytes would
// let it win over the original. Decision: [Signed], [SignedSet] and [PublicKey]
// accept what their own encoder writes and nothing else. Consequence: a field cannot be added to
// an entry; a second version has another payload type. What would change our
// mind: an implementation that encodes public keys in another way, which would have
// another peer ID for them too.
//
// Strangers can re-sign with ECDSA and secp256k1. Context: from one signature of these
// anybody computes a second one over the same content. Decision: the tie
// between two values with one sequence number goes to the greater bytes.
// Consequence: a stranger may exchange the signature of an entry, never what it
// says; all holders agree on one all the same. Ed25519 keys do not have that.
//
// Select and Reduce trust Validate. Context: a holder of a full set merges it
// with everything that arrives. To verify 64 signatures each time would cost it
// milliseconds for one message of a stranger. Decision: they parse only, and the
// DHT validates each value once, when it arrives. Consequence: who calls them directly
// validates first. What would change our mind: a caller that cannot.
//
// A set has no size. Context: the DHT limits how many values and bytes a key holds, and
// refuses what is over it. A validator that dropped entries would make what
// remains depend on the order of arrival. Decision: Reduce keeps one entry of every
// owner. Consequence: without Allow, a stranger with many keys fills the set, and
// honest writers are refused: use Allow, or a [Signed] key for each owner, where
// nobody is in anybody's way.
package validator
