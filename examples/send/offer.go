package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"unicode"

	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// protocol is what both sides speak. The sender says what it has (offer), the receiver what it
// has of that already (reply), the sender from where on it sends (begin), then the bytes and
// their SHA-256; and the receiver says whether it has the file (result). Each of them is a line
// of JSON, except the bytes and their sum.
const protocol lprotocol.ID = "/kad/send/1.0.0"

const (
	maxLine = 8 << 10
	maxName = 200 // bytes
)

// An offer is a file that the sender has.
type offer struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// A reply says how much of a file the receiver has, and the SHA-256 of that.
type reply struct {
	Error string `json:"error,omitempty"` // why the file is not taken
	Have  int64  `json:"have,omitempty"`
	Sum   string `json:"sum,omitempty"`
}

// A begin says from where on the file is sent: where the receiver stands, or 0 if that has
// something else.
type begin struct {
	From int64 `json:"from"`
}

// A result says whether the receiver has the file.
type result struct {
	Error string `json:"error,omitempty"`
}

// say writes a line.
func say(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// hear reads a line.
func hear(r *bufio.Reader, v any) error {
	line, err := r.ReadSlice('\n') // of at most maxLine bytes, the size of the reader
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			err = errors.New("the other side says more than this program understands")
		}
		return err
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("the other side says something that this program does not understand: %w", err)
	}
	return nil
}

// check returns why an offer makes no sense.
func (o *offer) check() error {
	if o.Size < 0 || cleanName(o.Name) == "" {
		return fmt.Errorf("there is no file %q of %d bytes", o.Name, o.Size)
	}
	return nil
}

// cleanName makes a name from another peer one of a file in a directory, which is not hidden;
// empty if nothing is left.
func cleanName(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) || strings.ContainsRune(`<>:"|?*`, r) {
			return '_'
		}
		return r
	}, name)
	for len(name) > maxName {
		name = name[len(name)-maxName:] // the ending says what it is
		name = strings.ToValidUTF8(name, "")
	}
	return strings.Trim(name, ". ")
}

// sum returns a checksum as it is told.
func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
