package host

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

// A holder keeps a presence for its lifetime, however long the holder keeps others,
// and whatever the proof of it says.
func TestPresenceLifetime(t *testing.T) { synctest.Test(t, testPresenceLifetime) }

func testPresenceLifetime(t *testing.T) {
	key, id := roomtest.NewPeer(t)
	_, other := roomtest.NewPeer(t)
	for _, age := range []time.Duration{48 * time.Hour, -1} {
		d := newTestNet(t).inert(Config{RecordAge: age})
		for name, tt := range map[string]struct {
			key   []byte
			sign  bool
			from  peer.ID
			after time.Duration // of the proof
			want  time.Duration
		}{
			"without proof":      {[]byte(id), false, id, 0, announce.PresenceLifetime},
			"for ever":           {[]byte(id), true, id, 0, announce.PresenceLifetime},
			"passed on":          {[]byte(id), true, other, 20 * time.Minute, announce.PresenceLifetime - 20*time.Minute},
			"passed on too late": {[]byte(id), true, other, announce.PresenceLifetime, 0},
			"no presence":        {[]byte("key"), true, id, 0, max(age, 0)},
		} {
			_ = d.store.RemoveProvider(t.Context(), tt.key, string(id))
			add := protocol.AddProvider{Key: tt.key, Providers: []protocol.Peer{{ID: id, Addrs: roomtest.Addrs(publicAddr)}}}
			if tt.sign {
				add.Proof = announce.Proof{Network: testProtocol, Key: tt.key, Published: time.Now()}.Sign(key)
			}
			time.Sleep(tt.after)
			if _, err := d.serve.Answer(t.Context(), holder.From{ID: tt.from, At: scope.Public}, add, time.Now()); (err != nil) != (tt.want == 0 && tt.from == other) {
				t.Errorf("%s: %v", name, err)
			}
			p, err := d.store.Provider(t.Context(), tt.key, string(id), time.Now())
			if err != nil {
				if tt.from != other || tt.want != 0 {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			var left time.Duration
			if !p.Expires.IsZero() {
				left = time.Until(p.Expires).Round(time.Second)
			}
			if left != tt.want {
				t.Errorf("%s, where others are kept for %v: %v, want %v", name, age, left, tt.want)
			}
		}
	}
}
