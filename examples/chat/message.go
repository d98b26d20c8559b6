package main

import (
	"encoding/json"
	"errors"
	"fmt"
)

// maxMessage bounds the bytes of a message. JSON writes some characters in six.
const maxMessage = 8 << 10

// A message is what peers of a room send each other. Without text it is a hello, which
// has the nick of a peer.
type message struct {
	Nick string `json:"nick"`
	Text string `json:"text,omitempty"`
}

var (
	errMessageSize = errors.New("the message is too large")
	errMessageNick = errors.New("the message has no nick that can be shown")
)

// parseMessage reads what any peer sent. What it returns is fit for a terminal.
func parseMessage(data []byte) (message, error) {
	if len(data) > maxMessage {
		return message{}, errMessageSize
	}
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, fmt.Errorf("the message is not JSON: %w", err)
	}
	m.Nick, m.Text = cleanName(m.Nick), cleanText(m.Text)
	if m.Nick == "" {
		return message{}, errMessageNick
	}
	return m, nil
}
