package reach

import "testing"

// The answer to a probe says how large it was, and nothing else is an answer.
func TestAnswered(t *testing.T) {
	nonce := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	asked := probe(nonce, fullProbe)
	if len(asked) != fullProbe || len(probe(nonce, smallProbe)) != smallProbe {
		t.Errorf("a probe of %d bytes", len(asked))
	}
	at := 1 + 4 + 1 + len(nonce) // of the ID of the sender, with its length in front
	answer := append([]byte{0x80, 0, 0, 0, 0}, asked[at:at+1+2+len(nonce)]...)
	answer = append(answer, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1)
	if got := answered(nonce, answer); got != fullProbe {
		t.Errorf("an answer to %d bytes is one to %d", fullProbe, got)
	}
	for name, b := range map[string][]byte{
		"nothing":       nil,
		"cut off":       answer[:12],
		"short header":  append([]byte{0x40}, answer[1:]...),
		"a version":     asked,
		"another nonce": append(append([]byte(nil), answer[:8]...), make([]byte, 20)...),
	} {
		if got := answered(nonce, b); got != 0 {
			t.Errorf("%s answers a probe of %d bytes", name, got)
		}
	}
}
