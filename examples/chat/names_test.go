package main

import (
	"bufio"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanText(t *testing.T) {
	tests := []struct{ name, give, want string }{
		{"plain", "hello, world!", "hello, world!"},
		{"trimmed", "  hi \t", "hi"},
		{"tab", "a\tb", "a b"},
		{"new line", "hi\nbob: I am a liar", "hibob: I am a liar"},
		{"carriage return", "hi\rbob: forged", "hibob: forged"},
		{"colour", "\x1b[31mred", "[31mred"},
		{"window title", "\x1b]0;owned\x07", "]0;owned"},
		{"C1 control", "a\u009b31mb", "a31mb"},
		{"backspace", "ab\b\bc", "abc"},
		{"null", "a\x00b", "ab"},
		{"right to left", "abc\u202egnp.exe", "abcgnp.exe"},
		{"isolates", "\u2066a\u2069", "a"},
		{"line separator", "a\u2028b\u2029c", "abc"},
		{"zero width space", "a\u200bb", "ab"},
		{"emoji with joiners", "👩\u200d💻", "👩\u200d💻"},
		{"umlauts", "Grüße, 世界", "Grüße, 世界"},
		{"broken encoding", "a\xff\xfeb", "a\ufffdb"},
		{"only controls", "\x1b\x07\n", ""},
		{"long", strings.Repeat("x", maxText+1), strings.Repeat("x", maxText)},
		{"long, whole runes", strings.Repeat("ü", maxText), strings.Repeat("ü", maxText/2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := cleanText(tt.give); got != tt.want {
				t.Errorf("cleanText(%q) = %q, want %q", tt.give, got, tt.want)
			}
		})
	}
}

func TestCleanName(t *testing.T) {
	tests := []struct{ name, give, want string }{
		{"plain", "ann", "ann"},
		{"accents", "Zoë", "Zoë"},
		{"forged line", "bob: hi", "bobhi"},
		{"forged status", "* bob", "bob"},
		{"escape", "\x1b[2Jann", "[2Jann"},
		{"joiner", "a\u200dnn", "ann"},
		{"broken encoding", "a\xffnn", "ann"},
		{"nothing left", " :* ", ""},
		{"long", strings.Repeat("ü", 40), strings.Repeat("ü", maxName)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := cleanName(tt.give); got != tt.want {
				t.Errorf("cleanName(%q) = %q, want %q", tt.give, got, tt.want)
			}
		})
	}
}

func TestSplitLines(t *testing.T) {
	long := strings.Repeat("ü", maxText)
	tests := []struct {
		name, give string
		want       []string
	}{
		{"empty", "", nil},
		{"lines", "a\nb\n", []string{"a", "b"}},
		{"no end", "a\nb", []string{"a", "b"}},
		{"empty line", "a\n\nb\n", []string{"a", "", "b"}},
		{"as long as can be", strings.Repeat("x", maxText) + "\ny\n", []string{strings.Repeat("x", maxText), "y"}},
		{"longer", long + "\n", []string{long[:maxText], long[maxText:]}},
		{"no encoding at all", strings.Repeat("\x80", maxText+1), []string{strings.Repeat("\x80", maxText), "\x80"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := bufio.NewScanner(strings.NewReader(tt.give))
			in.Split(splitLines)
			var got []string
			for in.Scan() {
				got = append(got, in.Text())
			}
			if in.Err() != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v; want %q", got, in.Err(), tt.want)
			}
		})
	}
}

func TestParseMessage(t *testing.T) {
	m, err := parseMessage([]byte(`{"nick":"a\u001bnn","text":"hi\u0007 there","more":1}`))
	if err != nil || m != (message{Nick: "ann", Text: "hi there"}) {
		t.Errorf("parseMessage() = %+v, %v", m, err)
	}
	if _, err := parseMessage([]byte(`{"nick":":","text":"hi"}`)); !errors.Is(err, errMessageNick) {
		t.Errorf("no nick: %v", err)
	}
	if _, err := parseMessage(make([]byte, maxMessage+1)); !errors.Is(err, errMessageSize) {
		t.Errorf("too large: %v", err)
	}
	if _, err := parseMessage([]byte("hi")); err == nil {
		t.Error("no JSON, and no error")
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add([]byte(`{"nick":"ann","text":"hi"}`))
	f.Add([]byte(`{"nick":"\u202e\u001b","text":"\r\n"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMessage(data)
		if err != nil {
			return
		}
		for _, s := range []string{m.Nick, m.Text} {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\x07\x1b\r\n\u009b\u202e") {
				t.Errorf("%q reaches the terminal as %q", data, s)
			}
		}
		if len(m.Text) > maxText || utf8.RuneCountInString(m.Nick) > maxName || m.Nick == "" {
			t.Errorf("%q becomes nick %q and %d bytes of text", data, m.Nick, len(m.Text))
		}
	})
}

func TestDefaultNick(t *testing.T) {
	if nick := defaultNick(); nick == "" || cleanName(nick) != nick {
		t.Errorf("defaultNick() = %q", nick)
	}
	if nick := friendlyName(func(n int) int { return n - 1 }); nick != "witty-wombat" {
		t.Errorf("friendlyName() = %q", nick)
	}
}
