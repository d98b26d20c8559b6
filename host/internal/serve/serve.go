package serve

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

const (
	// serviceName is the name of the service for the resource manager of the host.
	serviceName = "kad"

	// idleTimeout is how long a stream may go without a complete request.
	idleTimeout = time.Minute

	// answerTimeout bounds the work on one request, and the writing of its answer: a
	// peer that reads slower is not waited for.
	answerTimeout = 10 * time.Second

	// maxRequest bounds the memory that a peer can take per stream: the largest
	// request is a record with its key.
	maxRequest = protocol.MaxValue + 64<<10
)

// A Config has the rooms that a Server uses, and its settings.
type Config struct {
	Holder     *holder.Holder
	Table      *table.Table
	Tasks      *tasks.Group // its end ends the work on requests
	K          int
	MaxInbound int                // streams served at a time
	Asked      func(network.Conn) // called after a request of the connection was served; must not block
}

// A Server answers the requests of other peers. It is safe for concurrent use.
type Server struct {
	cfg    Config
	counts counts

	mu      sync.Mutex
	perPeer map[peer.ID]map[network.Stream]time.Time // since when each stream is idle
	total   int
	closed  bool
	done    sync.WaitGroup // the goroutines that serve
}

// New returns a Server.
func New(cfg Config) *Server {
	return &Server{cfg: cfg, perPeer: make(map[peer.ID]map[network.Stream]time.Time)}
}

// Handle answers the requests of one stream, one after the other, until the stream
// ends, is idle for a minute, or breaks the rules. It is a [network.StreamHandler].
func (s *Server) Handle(stream network.Stream) {
	now := time.Now()
	if !s.add(stream, now) {
		s.counts.refused.Add(1)
		_ = stream.ResetWithError(kaderr.CodeBusy)
		return
	}
	defer s.remove(stream)
	if err := stream.Scope().SetService(serviceName); err != nil {
		_ = stream.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	r := bufio.NewReader(stream)
	var buf []byte // of the answers, reused
	for {
		var err error
		if now, err = s.serveOne(stream, r, &buf, now); err != nil {
			code := kaderr.CodeOf(err)
			log.Debugw("stream reset", "peer", stream.Conn().RemotePeer(), "error", err, "code", code)
			s.counts.refused.Add(1)
			_ = stream.ResetWithError(code)
			return
		}
		if now.IsZero() {
			_ = stream.Close()
			return
		}
	}
}

// serveOne reads one request, on a stream that is idle since a time, and writes its answer.
// It returns when the answer was ready; the zero time if the other side has no more.
func (s *Server) serveOne(stream network.Stream, r *bufio.Reader, buf *[]byte, idle time.Time) (ready time.Time, err error) {
	_ = stream.SetReadDeadline(idle.Add(idleTimeout))
	msg, err := protocol.ReadFrame(r, maxRequest)
	if errors.Is(err, io.EOF) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	req, err := protocol.ParseRequest(msg)
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	s.active(stream, now)
	ctx, cancel := context.WithTimeout(s.cfg.Tasks.Context(), answerTimeout)
	defer cancel()
	conn := stream.Conn()
	reply, err := s.Answer(ctx, holder.From{ID: conn.RemotePeer(), At: scope.OfConn(conn)}, req, now)
	if err != nil {
		return time.Time{}, err // counted when the stream is reset
	}
	s.counts.answered(req)
	s.cfg.Asked(conn)
	ready = time.Now()
	if _, ok := req.(protocol.AddProvider); ok {
		return ready, nil // it has no answer
	}
	_ = stream.SetWriteDeadline(ready.Add(answerTimeout))
	*buf = protocol.AppendEncodedResponseFrame((*buf)[:0], req, reply.Records, reply.Closer, reply.Providers)
	_, err = stream.Write(*buf)
	return ready, err
}
