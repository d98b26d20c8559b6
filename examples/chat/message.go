package main

import (
	"encoding/json"
	"errors"
	"fmt"
)

// maxMessage bounds the bytes of a message. JSON writes some characters in six.
const maxMessage = 8 << 10

// A message is what peers of a room send each other. Without text it only says
// who is there.
type message struct {
	Nick string `json:"nick"`
	Text string `json:"text,omitempty"`

	// No is the number of the line among those of its peer, from 1 on, or of the next
	// one if there is no text. With 0, lines are shown as they come.
	No uint64 `json:"no,omitempty"`
}

var (
	errMessageSize = errors.New("the message is too large")
	errMessageNick = errors.New("the message has no nick that can be shown")
)

// parseMessage reads what a stranger sent. What it returns is fit for a
// terminal.
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
