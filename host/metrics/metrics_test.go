package metrics

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each field of Stats is read by exactly one metric.
func TestFields(t *testing.T) {
	metrics := append(counters(), gauges()...)
	for i := range reflect.TypeFor[kad.Stats]().NumField() {
		var s kad.Stats
		name := reflect.TypeOf(s).Field(i).Name
		if name == "Due" || name == "LastFailure" {
			continue // one metric for each job, see TestDue; no number
		}
		times := 0
		switch f := reflect.ValueOf(&s).Elem().Field(i); f.Kind() {
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			times = 1
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int:
			f.SetInt(1)
		case reflect.Float64:
			f.SetFloat(1)
		case reflect.Int64:
			f.Set(reflect.ValueOf(time.Second))
		default:
			f.SetUint(1)
		}
		read := 0
		for _, h := range histograms() {
			read += len(h.of(s))
		}
		if read != times {
			t.Errorf("%s is read by %d histograms, want %d", name, read, times)
		}
		read = times
		for _, m := range metrics {
			if m.of(s) == 1 {
				read++
			}
		}
		if read != 1 {
			t.Errorf("%s is read by %d metrics, want 1", name, read)
		}
	}
}

// The names and the texts are those that Prometheus recommends.
func TestLint(t *testing.T) {
	c := New(new(kad.DHT)).(*collector)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(still{c})
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	families, err := r.Gather()
	if err != nil || len(families) != 44 {
		t.Errorf("%d families, %v; want 44", len(families), err)
	}
}

// A still is a collector with the values of a DHT that has done nothing.
type still struct{ *collector }

func (s still) Collect(out chan<- prometheus.Metric) {
	for _, m := range s.metrics {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(kad.Stats{}), m.label...)
	}
	for _, h := range s.histograms {
		out <- prometheus.MustNewConstHistogram(h.desc, 1, 1, within(kad.Times{}), "ping", "answered")
	}
	out <- prometheus.MustNewConstMetric(s.buckets, prometheus.GaugeValue, 1, "0")
	out <- prometheus.MustNewConstMetric(s.due, prometheus.GaugeValue, 1, "refresh")
}

// What the node does by itself next has the time at which it is due.
func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := kadtest.New(t, kadtest.Config{Seed: 1})
		nodes := n.Add(2, kad.Config{Network: "/due"})
		n.Settle()
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(New(nodes[0].DHT))
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		due := make(map[string]float64)
		for _, f := range families {
			if f.GetName() == "kad_due_timestamp_seconds" {
				for _, m := range f.GetMetric() {
					due[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue() - float64(time.Now().Unix())
				}
			}
		}
		for task, within := range map[string]time.Duration{"refresh": time.Hour, "expire": 2 * time.Hour} {
			if after, ok := due[task]; !ok || after <= 0 || after > within.Seconds() {
				t.Errorf("%s is due in %v s, %v; want one within %v", task, after, ok, within)
			}
		}
	})
}

// What one of two nodes sends, the other receives.
func TestTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := kadtest.New(t, kadtest.Config{Seed: 1})
		nodes := n.Add(2, kad.Config{Network: "/traffic"})
		n.Settle()
		bytes := func() (in, out [2]uint64) {
			for i, d := range nodes {
				s := d.DHT.Stats()
				in[i], out[i] = s.BytesIn, s.BytesOut
			}
			return in, out
		}
		rest := func() (in, out [2]uint64) { // when nothing is under way
			for wasIn, wasOut := bytes(); ; wasIn, wasOut = in, out {
				time.Sleep(time.Second)
				synctest.Wait()
				if in, out = bytes(); in == wasIn && out == wasOut {
					return in, out
				}
			}
		}
		wasIn, wasOut := rest() // one may have asked the other before that served
		for range 20 {          // requests share streams, and many have one each
			if _, err := nodes[0].DHT.ClosestPeers(t.Context(), []byte("key")); err != nil {
				t.Fatal(err)
			}
		}
		in, out := rest()
		for i := range nodes {
			in[i], out[i] = in[i]-wasIn[i], out[i]-wasOut[i]
		}
		if in[0] != out[1] || in[1] != out[0] || in[0] == 0 || out[0] < 20 {
			t.Errorf("they have received %d bytes and sent %d", in, out)
		}
	})
}
