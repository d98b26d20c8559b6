package serve

import (
	"bufio"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/protocol"
)

// OnRequest sees each request with its connection, and refuses what it returns an error for:
// nothing of that is stored, and the requester is told why, as far as there is a code for it.
func TestOnRequest(t *testing.T) { synctest.Test(t, testOnRequest) }

func testOnRequest(t *testing.T) {
	blocked := errors.New("blocked")
	put := protocol.PutValue{Record: protocol.Record{Key: []byte("/v/key"), Value: []byte("1")}}
	add := protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{{
		ID: aPeer, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")},
	}}}
	for _, req := range []protocol.Request{
		put, add,
		protocol.Ping{},
		protocol.FindNode{Target: []byte("key")},
		protocol.GetValue{Key: []byte("/v/key")},
		protocol.GetProviders{Key: []byte("key")},
	} {
		for name, tt := range map[string]struct {
			verdict error
			code    network.StreamErrorCode
		}{
			"answered":  {nil, 0},
			"refused":   {blocked, kaderr.CodeOf(kaderr.ErrForbidden)},
			"for value": {fmt.Errorf("spam: %w", kaderr.ErrInvalidRecord), codeInvalid},
		} {
			d := newNode(t, 256)
			var got []protocol.Request
			d.cfg.OnRequest = func(from network.Conn, req protocol.Request) error {
				if from.RemotePeer() != aPeer || from.RemoteMultiaddr().String() != privateAddr {
					t.Errorf("the request is of %s at %s", from.RemotePeer(), from.RemoteMultiaddr())
				}
				got = append(got, req)
				return tt.verdict
			}
			s := dialIn(d, aPeer)
			if _, err := s.Write(protocol.AppendRequestFrame(nil, req)); err != nil {
				t.Fatal(err)
			}
			_ = s.CloseWrite()
			_, err := bufio.NewReader(s).ReadByte()
			reset, _ := errors.AsType[*network.StreamError](err)
			if refused := reset != nil; refused != (tt.verdict != nil) || refused && reset.ErrorCode != tt.code {
				t.Errorf("%T %s: %v, want the code %#x", req, name, err, uint32(tt.code))
			}
			synctest.Wait()
			values, providers := d.holder.Len()
			_, puts := req.(protocol.PutValue)
			_, announces := req.(protocol.AddProvider)
			if want := map[bool]int{true: 1}[(puts || announces) && tt.verdict == nil]; values+providers != want {
				t.Errorf("%T %s: %d records are held, want %d", req, name, values+providers, want)
			}
			if want := map[bool]int32{true: 1}[tt.verdict == nil]; len(got) != 1 || d.asked.Load() != want {
				t.Errorf("%T %s: seen %d times, peer noted %d times", req, name, len(got), d.asked.Load())
			}
			d.Close()
		}
	}
}
