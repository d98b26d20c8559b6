package host

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Many who announce to relay, and do not, do not hide one who does: not those that
// answer, nor those that are not there.
func TestLiarsHideNoRelay(t *testing.T) { synctest.Test(t, testLiarsHideNoRelay) }

func testLiarsHideNoRelay(t *testing.T) {
	const liars = 18 // more than are checked at a time
	w := newSimWorld(t)
	first, _ := w.host("50.1.0.1", Config{})
	boot := []peer.AddrInfo{info(first)}
	r, _ := w.host("50.2.0.2", Config{Bootstrap: boot, OfferRelay: true})
	for i := range liars {
		h, liar := w.host(fmt.Sprintf("60.%d.0.1", i+1), Config{Bootstrap: boot})
		time.Sleep(time.Second)
		if _, err := liar.Advertise(t.Context(), string(liar.cfg.protocolID())+"/relay"); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_ = h.Close()
		}
	}
	hidden, _ := w.host("192.168.1.2", Config{Bootstrap: boot, Mode: ModeClient})
	until(t, "the relay", func() bool { return slices.Equal(announced(hidden), []peer.ID{r.ID()}) })
}
