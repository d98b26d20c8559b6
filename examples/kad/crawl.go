package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/go-kad/kad/examples/internal/node"
	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/amino"
)

// crawlCommand returns the command crawl.
func (c *cli) crawlCommand() *cobra.Command {
	var file string
	var parallel int
	cmd := c.plain("crawl", "Asks every peer of a network for its contacts: size, versions, dead share.", 0, 0, func(ctx context.Context, _ []string) error {
		if parallel < 1 || parallel > 1024 {
			return node.Usage("--parallel is %d: use 1 to 1024", parallel)
		}
		network, seeds, err := c.seeds(ctx)
		if err != nil {
			return err
		}
		return c.crawl(ctx, network, seeds, file, parallel)
	})
	cmd.Flags().StringVar(&file, "state", "", "`FILE` that keeps what is found; a crawl that was interrupted goes on from it")
	cmd.Flags().IntVar(&parallel, "parallel", 64, "how many peers to ask at once, `N`")
	return cmd
}

// seeds returns the network to crawl, and the peers to begin with: the contacts of a node
// that runs, or the bootstrap peers of the flags.
func (c *cli) seeds(ctx context.Context) (network string, seeds []peer.AddrInfo, err error) {
	if c.api == "" {
		seeds, err = kad.ParseAddrs(c.join...)
		if err != nil {
			return "", nil, node.Usage("--join: %s", strings.TrimPrefix(err.Error(), "kad: "))
		}
		if amino := amino.Config(); len(seeds) == 0 && c.network == amino.Network {
			seeds = amino.Bootstrap
		}
		if c.network == "" || len(seeds) == 0 {
			return "", nil, node.Usage("no node and no network is named: use --api URL of a node that runs, or --network NAME with --join ADDRESS")
		}
		return c.network, seeds, nil
	}
	s, err := c.open(ctx, false)
	if err != nil {
		return "", nil, err
	}
	defer s.close()
	var id struct {
		peerInfo

		Network string
	}
	var table struct {
		Buckets []struct{ Contacts []peerInfo }
	}
	for path, into := range map[string]any{"/v1/id": &id, "/v1/table": &table} {
		got, err := s.call(ctx, http.MethodGet, path, nil, nil)
		if err == nil {
			err = json.Unmarshal(got.body, into)
		}
		if err != nil {
			return "", nil, err
		}
	}
	addrs := id.Addrs
	for _, b := range table.Buckets {
		for _, p := range b.Contacts {
			for _, a := range p.Addrs {
				addrs = append(addrs, a+"/p2p/"+p.ID)
			}
		}
	}
	seeds, err = kad.ParseAddrs(addrs...)
	return id.Network, seeds, err
}

// A visit is what a crawl has found out about one peer. It is a line of the output, and of
// the file of the crawl.
type visit struct {
	ID       string   `json:"id"`
	Addrs    []string `json:"addrs,omitempty"`
	Answered bool     `json:"answered"`
	Dialled  bool     `json:"dialled"` // it could be reached, whether or not it answered
	Via      string   `json:"via,omitempty"`
	Agent    string   `json:"agent,omitempty"`
	Contacts []string `json:"contacts,omitempty"`
	Took     float64  `json:"took_ms"`
	Error    string   `json:"error,omitempty"`
}

// A found is the other kind of line of the file: a peer that was named, and is to be asked.
type found struct {
	Found string   `json:"found"`
	Addrs []string `json:"addrs"`
}

// An of is the first line of the file: the network that is crawled.
type of struct {
	Network string `json:"network"`
}

// A summary is what a crawl comes to.
type summary struct {
	Done        bool           `json:"done"` // no peer is left to be asked
	Peers       int            `json:"peers"`
	Answered    int            `json:"answered"`
	Unreachable int            `json:"unreachable"` // could not be dialled
	Silent      int            `json:"silent"`      // could, and did not answer
	Relayed     int            `json:"relayed"`     // of those that answered
	DeadShare   float64        `json:"dead_share"`  // of the peers that were named
	Left        int            `json:"left"`        // named, and not asked yet
	Contacts    float64        `json:"contacts_each"`
	Agents      map[string]int `json:"agents"`
	Elapsed     float64        `json:"elapsed_ms"`
}

// add counts a peer.
func (s *summary) add(v visit) {
	s.Peers++
	switch {
	case v.Answered:
		s.Answered++
		s.Agents[v.Agent]++
		s.Contacts += (float64(len(v.Contacts)) - s.Contacts) / float64(s.Answered)
		if v.Via == "relayed" {
			s.Relayed++
		}
	case v.Dialled:
		s.Silent++
	default:
		s.Unreachable++
	}
	s.DeadShare = float64(s.Unreachable+s.Silent) / float64(s.Peers)
}

// crawl crawls, writes each peer as it has been asked, and the summary at the end, also when
// it is interrupted.
func (c *cli) crawl(ctx context.Context, network string, seeds []peer.AddrInfo, path string, parallel int) error {
	begun := time.Now()
	log, known, err := openLog(path, network)
	if err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	defer func() { _ = log.close() }()
	h, err := crawlHost()
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	total := summary{Agents: make(map[string]int)}
	w := newCrawler(h, network, c.timeout)
	for _, v := range known.visits {
		w.visited(v.ID)
		total.add(v)
	}
	w.meet(append(known.found, seeds...), log)
	ctx, p := c.newProgress(ctx, "crawling "+network)
	defer p.end()
	for v := range w.run(ctx, parallel, log) {
		total.add(v)
		p.set(fmt.Sprintf("%d asked, %d answered, %d to ask", total.Peers, total.Answered, w.left()))
		if c.out.json {
			c.out.object(v)
		}
	}
	interrupted := ctx.Err() != nil
	p.end()
	total.Left, total.Done = w.left(), w.left() == 0
	total.Elapsed = float64(time.Since(begun)) / float64(time.Millisecond)
	c.showSummary(total)
	switch {
	case log.err != nil:
		return fmt.Errorf("--state: %w", log.err)
	case interrupted:
		return errInterrupted
	case total.Answered == 0:
		return fmt.Errorf("no peer of %s answered: %s", network, w.reason())
	}
	return nil
}

// showSummary writes what a crawl came to.
func (c *cli) showSummary(t summary) {
	if c.out.json {
		c.out.object(t)
		return
	}
	c.out.say("%s: %s, %d could not be dialled, %d were silent; %.1f %% dead", plural(t.Peers, "peer"), good(fmt.Sprint(t.Answered, " answered")), t.Unreachable, t.Silent, 100*t.DeadShare)
	c.out.say("%.1f contacts each, %d behind relays, in %s", t.Contacts, t.Relayed, milliseconds(t.Elapsed))
	if !t.Done {
		c.out.say("%s", bad(fmt.Sprintf("%s not asked yet", plural(t.Left, "peer"))))
	}
	names := slices.SortedFunc(maps.Keys(t.Agents), func(a, b string) int {
		if t.Agents[a] != t.Agents[b] {
			return t.Agents[b] - t.Agents[a]
		}
		return strings.Compare(a, b)
	})
	var lines [][]string
	for _, name := range names {
		shown := name
		if shown == "" {
			shown = "(not told)"
		}
		lines = append(lines, []string{fmt.Sprintf("%6d", t.Agents[name]), shown})
	}
	c.out.rows(lines)
}

// A crawlLog is the file of a crawl: one JSON object a line. Without a file, it keeps nothing.
type crawlLog struct {
	file *os.File
	err  error // of the first write that failed
}

// crawled is what a file has of an earlier crawl.
type crawled struct {
	visits []visit
	found  []peer.AddrInfo
}

// openLog opens the file of a crawl of a network, and reads what is in it. A last line that was
// cut off is ignored.
func openLog(path, network string) (*crawlLog, crawled, error) {
	var known crawled
	if path == "" {
		return &crawlLog{}, known, nil
	}
	old, err := os.ReadFile(path) //nolint:gosec // the file that the user named
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, known, err
	}
	whole := old[:strings.LastIndexByte(string(old), '\n')+1]
	lines := bufio.NewScanner(strings.NewReader(string(whole)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			visit
			of

			Found string `json:"found"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, known, fmt.Errorf("%s is no file of a crawl: %w", path, err)
		}
		if line.Network != "" {
			if line.Network != network {
				return nil, known, fmt.Errorf("%s is of a crawl of %s: name another file for %s", path, line.Network, network)
			}
			continue
		}
		if line.Found == "" {
			known.visits = append(known.visits, line.visit)
			continue
		}
		for i := range line.Addrs {
			line.Addrs[i] += "/p2p/" + line.Found
		}
		if infos, err := kad.ParseAddrs(line.Addrs...); err == nil {
			known.found = append(known.found, infos...)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, known, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // ditto
	if err != nil {
		return nil, known, err
	}
	if err = file.Truncate(int64(len(whole))); err == nil {
		_, err = file.Seek(0, io.SeekEnd)
	}
	log := &crawlLog{file: file}
	if len(whole) == 0 {
		log.write(of{network})
	}
	return log, known, err
}

// write appends a line.
func (l *crawlLog) write(v any) {
	if l.file == nil || l.err != nil {
		return
	}
	l.err = json.NewEncoder(l.file).Encode(v)
}

func (l *crawlLog) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
