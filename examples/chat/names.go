package main

import (
	"math/rand/v2"
	"os/user"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	maxName = 32   // runes in a nick or the name of a room
	maxText = 1024 // bytes in a line
)

// cleanText returns what of a line of any peer may reach a terminal: no control
// characters, which could move the cursor, forge lines or rename the window, no
// marks that turn the direction of writing, no broken encoding, and no more than
// maxText bytes.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsGraphic(r), r == '\u200c', r == '\u200d': // emoji and some scripts need the joiners
			return r
		default:
			return -1
		}
	}, strings.ToValidUTF8(s, "\ufffd"))
	return strings.TrimSpace(truncate(s, maxText))
}

// cleanName is [cleanText] for nicks and rooms. It also leaves out what would
// make the line of a nick look like something else: "nick: text" or "* status".
func cleanName(s string) string {
	runes := 0
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == ':' || r == '*' || r == utf8.RuneError || runes == maxName {
			return -1
		}
		runes++
		return r
	}, s)
}

// truncate returns the beginning of s: up to limit bytes, all runes whole.
func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > limit-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	if !utf8.RuneStart(s[cut]) {
		return s[:limit] // not UTF-8: nothing is whole
	}
	return s[:cut]
}

// splitLines is a [bufio.SplitFunc]: lines, of which long ones come in pieces of
// up to maxText bytes, so that no line is too long to be sent.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	for i, b := range data {
		switch {
		case b == '\n':
			return i + 1, data[:i], nil
		case i == maxText:
			n := len(truncate(string(data), maxText))
			return n, data[:n], nil
		}
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// defaultNick is the name of the user, or one that is made up.
func defaultNick() string {
	if u, err := user.Current(); err == nil {
		name := u.Username[strings.LastIndexByte(u.Username, '\\')+1:] // without a Windows domain
		if name = cleanName(name); name != "" && name != "root" {
			return name
		}
	}
	return friendlyName(rand.IntN)
}

// friendlyName makes up a nick.
func friendlyName(intN func(int) int) string {
	moods := []string{"brave", "calm", "eager", "happy", "kind", "lucky", "merry", "quick", "sunny", "witty"}
	animals := []string{"badger", "falcon", "hedgehog", "lynx", "marten", "otter", "panda", "robin", "seal", "wombat"}
	return moods[intN(len(moods))] + "-" + animals[intN(len(animals))]
}

// shortID is enough of a peer ID to tell peers apart: its end, since all begin alike.
func shortID(id peer.ID) string {
	s := id.String()
	return s[max(0, len(s)-4):]
}
