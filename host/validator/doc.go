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
// None of them does the following. A value is not secret. It exists for as long as peers
// keep it: an [Immutable] value cannot be forged, and can still be lost. A holder may serve
// an older value although there is a newer one, which is why a get asks several holders.
// Once the newest value of an owner has expired everywhere, any peer that has kept an older
// one may put that again: to notice that, a reader remembers the last sequence number.
//
// A validator of your own may have a Select that prefers none of two values: it returns the
// first one, or the last one, whatever their order. Of such values, the DHT takes the one
// that was put later. A put replaces the value of a holder. A copy, which holders pass on,
// replaces it only if it expires more than a minute later. A get takes the value that
// expires last, and of those within a minute the one that most holders gave. So an update
// wins, and copies of the value before it do not bring that back. For this, all publishers
// must use the same Config.RecordAge. Values without an order of their own are not protected
// against an older one that is put again: where that matters, use a sequence number, as
// [Signed] does.
//
// Validate and [Open] take any bytes, since strangers send them. They return an error that
// says what is wrong with a key or value, and look at [MaxKey] and [MaxValue] bytes at most.
// Select and Reduce take values that passed Validate: they check no signature again, and fail
// if a value cannot be read. All may be called from several goroutines at once.
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
// in proto3: fields in this order, and none that is zero or empty. The key is signed, too, so
// a value is valid under one key only: not in another namespace, and not under another name of
// the same owner. Under that key, it is valid in every network that has such a namespace.
//
// The sequence number is any number that grows. A counter has to be remembered; the time in
// milliseconds does not. No number is greater than 2^64-1: after a value with that one, the
// owner can put no other under the key.
//
// A value in a DHT cannot be removed, only superseded. In place of removing it, sign a value
// that the application understands as removed, with no data for example, and publish it for
// at least as long as records live.
//
// # Decisions
//
// A value has one encoding.
//
//   - Context: protobuf reads many byte strings as the same message. A stranger that pads a
//     valid value with a field that is not read has another valid value, up to the size limit,
//     which could win a tie that is decided by the bytes.
//   - Decision: [Signed], [SignedSet] and [PublicKey] accept only what their own encoder writes.
//   - Consequence: no field can be added to an entry; a second version needs another payload
//     type.
//   - It would change with an implementation that encodes public keys in another way, which
//     would have another peer ID for them, too.
//
// A tie goes to the greater bytes.
//
//   - Context: from one signature with ECDSA or secp256k1, a stranger can compute a second
//     valid one over the same content. Ed25519 has no such second signature.
//   - Decision: of two values with the same sequence number, the one with the greater bytes wins.
//   - Consequence: a stranger may exchange the signature of an entry, and never its content.
//     All holders agree on one.
//   - It would change if libp2p required one form of these signatures.
//
// Select and Reduce trust Validate.
//
//   - Context: a holder of a full set merges it with each value that arrives. To verify 64
//     signatures each time would cost milliseconds for one message of a stranger.
//   - Decision: they parse only. The DHT validates each value once, when it arrives.
//   - Consequence: a program that calls them directly validates first.
//   - It would change for a caller that cannot.
//
// A set drops no entry.
//
//   - Context: the DHT bounds the values and bytes of a key, and refuses more. If a validator
//     dropped entries, the rest would depend on the order of arrival.
//   - Decision: Reduce keeps one entry of each owner.
//   - Consequence: without Allow, a stranger with many keys fills the set, and entries of honest
//     owners are refused: use Allow, or a [Signed] key for each owner, which no other owner can fill.
//   - It would change with an order in which holders drop entries that a stranger cannot choose.
package validator
