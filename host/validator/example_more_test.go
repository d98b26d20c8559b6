package validator_test

import (
	"fmt"
	"strings"

	"github.com/go-kad/kad/host/validator"
)

// A signed value says what its owner has written under a key, and under no other.
func ExampleSign() {
	priv, owner := newOwner()
	key := validator.SignedKey("note", owner, "todo")
	value := must(validator.Sign(priv, key, 7, []byte("tea")))

	entry := must(validator.Open(key, value))
	fmt.Printf("%s, number %d, by its owner: %t\n", entry.Data, entry.Seq, entry.Owner == owner)
	_, err := validator.Open(validator.SignedKey("note", owner, "done"), value)
	fmt.Println("under another key:", err != nil)
	_, err = validator.Sign(priv, key, 8, []byte(strings.Repeat("a", validator.MaxValue)))
	fmt.Println("too large:", err != nil)
	// Output:
	// tea, number 7, by its owner: true
	// under another key: true
	// too large: true
}
