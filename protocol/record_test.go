package protocol

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestResponseRecord(t *testing.T) {
	rec := func(key string, value int) *Record { return &Record{Key: []byte(key), Value: make([]byte, value)} }
	wire := func(r *Record) string { return "\x08\x01" + string(appendRecord(nil, fieldRecord, r)) }
	get := GetValue{[]byte("/v/k")}
	tests := []struct {
		name string
		give string
		want error
	}{
		{"none", "\x08\x01", nil},
		{"as large as can be", wire(rec("/v/k", MaxValue)), nil},
		{"too large", wire(rec("/v/k", MaxValue+1)), ErrTooLarge},
		{"another key", wire(rec("/v/l", 1)), ErrMalformed},
		{"no key", wire(rec("", 1)), ErrMalformed},
		{"malformed", "\x08\x01\x1a\x01\xff", ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseResponse(get, []byte(tt.give)); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("put without echo", func(t *testing.T) {
		if _, err := ParseResponse(PutValue{Record: testRecord()}, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("not written", func(t *testing.T) {
		for _, r := range []*Record{nil, rec("/v/l", 1), rec("", 1), rec("/v/k", MaxValue+1)} {
			got, err := ParseResponse(get, AppendResponse(nil, get, Response{Record: r}))
			if err != nil || got.Record != nil {
				t.Errorf("got %v, %v; want no record", got, err)
			}
		}
	})
}

func TestRecordTime(t *testing.T) {
	utc := func(year, hour, nanos int) time.Time { return time.Date(year, 11, 23, hour, 0, 1, nanos, time.UTC) }
	tests := []struct {
		give string
		want time.Time
	}{
		{"2026-11-23T04:00:01Z", utc(2026, 4, 0)},
		{"2026-11-23T04:00:01.090000000Z", utc(2026, 4, 90_000_000)},
		{"2026-11-23T04:00:01.123456789012Z", utc(2026, 4, 123_456_789)},
		{"2026-11-23T04:00:01+02:00", utc(2026, 2, 0)},
		{"0000-11-23T04:00:01Z", utc(0, 4, 0)},
		{"9999-12-31T23:59:59-12:00", time.Time{}}, // year 10000 in UTC
		{"yesterday", time.Time{}},
		{"2026-11-23", time.Time{}},
		{"\xff\xfe", time.Time{}},
		{"2026-11-23T04:00:01." + strings.Repeat("0", 100) + "Z", time.Time{}},
	}
	for _, tt := range tests {
		wire := protowire.AppendBytes([]byte("\x0a\x01k\x2a"), []byte(tt.give))
		msg := protowire.AppendBytes([]byte("\x12\x01k\x1a"), wire)
		got, err := ParseRequest(msg)
		if err != nil {
			t.Fatal(err)
		}
		if at := got.(PutValue).Record.TimeReceived; at != tt.want {
			t.Errorf("%s is read as %v, want %v", tt.give, at, tt.want)
		}
		if again, err := ParseRequest(MarshalRequest(got)); err != nil || again.(PutValue).Record.TimeReceived != tt.want {
			t.Errorf("%s is read again as %v, %v", tt.give, again, err)
		}
	}
	want := "2026-11-23T04:00:01.000000000Z"
	if got := appendTime(nil, utc(2026, 4, 0).In(time.FixedZone("", 3600))); string(got) != want {
		t.Errorf("wrote %s, want %s", got, want)
	}
	if got := appendTime(nil, time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)); len(got) > 0 {
		t.Errorf("wrote %s for a year of five digits", got)
	}
}

func TestRecordExtensions(t *testing.T) {
	tests := []struct {
		name string
		give Record
		want Record
	}{
		{"large ttl", Record{TTL: 1 << 62}, Record{TTL: (1<<32 - 1) * time.Second}},
		{"time is over", Record{TTL: -time.Hour}, Record{TTL: time.Second}},
		{"just over", Record{TTL: -1}, Record{TTL: time.Second}},
		{"part of a second over", Record{TTL: 1999 * time.Millisecond}, Record{TTL: time.Second}},
		{"part of a second", Record{TTL: 400 * time.Millisecond}, Record{TTL: time.Second}},
		{"no ttl", Record{}, Record{}},
		{"publisher", Record{Publisher: make([]byte, MaxPublisher)}, Record{Publisher: make([]byte, MaxPublisher)}},
		{"publisher too large", Record{Publisher: make([]byte, MaxPublisher+1)}, Record{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.give.Key, tt.want.Key = []byte("k"), []byte("k")
			put, want := PutValue{tt.give, []Record{tt.give}}, PutValue{tt.want, []Record{tt.want}}
			got, err := ParseRequest(MarshalRequest(put))
			if err != nil {
				t.Fatal(err)
			}
			checkEqual(t, got, want)
			get := GetValue{[]byte("k")}
			resp, err := ParseResponse(get, AppendResponse(nil, get, Response{Record: &put.Record, More: put.More}))
			if err != nil {
				t.Fatal(err)
			}
			checkEqual(t, resp, Response{Record: &want.Record, More: want.More})
			echo, err := ParseResponse(put, AppendResponse(nil, put, Response{}))
			if err != nil {
				t.Fatal(err)
			}
			checkEqual(t, echo, Response{Record: &want.Record})
		})
	}
	long := appendBytes([]byte("\x0a\x01k"), fieldRecordPublisher, make([]byte, MaxPublisher+1))
	got, err := ParseRequest(protowire.AppendBytes([]byte("\x12\x01k\x1a"), long))
	if err != nil || got.(PutValue).Record.Publisher != nil {
		t.Errorf("a long publisher is read as %v, %v", got, err)
	}
}

// parts returns records with values of these sizes.
func parts(sizes ...int) []Record {
	records := make([]Record, len(sizes))
	for i, n := range sizes {
		records[i] = Record{Value: bytes.Repeat([]byte("v"), n)}
	}
	return records
}

func TestMoreInRequest(t *testing.T) {
	first := Record{Key: []byte("k"), Value: make([]byte, 1<<10)}
	tests := []struct {
		name string
		give []Record
		want error
	}{
		{"as many as can be", slices.Repeat(parts(1), MaxRecords-1), nil},
		{"too many", slices.Repeat(parts(0), MaxRecords), ErrTooLarge},
		{"as large as can be", parts(MaxValue/2, MaxValue/2-1<<10), nil},
		{"too large", parts(MaxValue/2, MaxValue/2-1<<10+1), ErrTooLarge},
		{"one too large", parts(1, MaxValue+1), ErrTooLarge},
		{"the same key", []Record{{Key: []byte("k")}}, nil},
		{"another key", []Record{{Key: []byte("k")}, {Key: []byte("l")}}, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			put := PutValue{first, tt.give}
			if err := Check(put); !errors.Is(err, tt.want) {
				t.Errorf("Check() = %v, want %v", err, tt.want)
			}
			got, err := ParseRequest(MarshalRequest(put))
			if !errors.Is(err, tt.want) {
				t.Errorf("ParseRequest() = %v, want %v", err, tt.want)
			}
			if err == nil {
				checkEqual(t, got, PutValue{first, underKey("k", tt.give)})
			}
		})
	}
	for _, bad := range []string{"\xff", "\x12\x02v", "\x0a\x01l"} {
		msg := appendBytes(MarshalRequest(PutValue{first, parts(1)}), fieldMore, []byte(bad))
		if _, err := ParseRequest(msg); !errors.Is(err, ErrMalformed) {
			t.Errorf("with the record %x: error %v", bad, err)
		}
	}
}

// underKey returns records as they are read: under the key of their message.
func underKey(key string, records []Record) []Record {
	records = slices.Clone(records)
	for i := range records {
		records[i].Key = []byte(key)
	}
	return records
}

func TestMoreInResponse(t *testing.T) {
	get := GetValue{[]byte("k")}
	first := &Record{Key: []byte("k"), Value: make([]byte, 1<<10)}
	large := MaxValue - 1<<10 // as much as there may be beside it
	tests := []struct {
		name  string
		first *Record
		give  []Record
		want  []Record
	}{
		{"none", first, nil, nil},
		{"too many", first, slices.Repeat(parts(1), MaxRecords+9), slices.Repeat(parts(1), MaxRecords-1)},
		{"as large as can be", first, parts(large-1, 1, 0), parts(large-1, 1, 0)},
		{"too large", first, parts(5, large, large-4, 6, large-11, 1), parts(5, 6, large-11)},
		{"another key", first, []Record{{Key: []byte("l")}, {Key: []byte("k"), Value: []byte("v")}}, parts(1)},
		{"no room", &Record{Key: []byte("k"), Value: make([]byte, MaxValue)}, parts(1, 0), parts(0)},
		{"no record", nil, parts(1), nil},
		{"a record that is none", &Record{Key: []byte("l")}, parts(1), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := Response{Record: tt.first, More: underKey("k", tt.want)}
			if tt.first == nil || string(tt.first.Key) != "k" {
				want.Record = nil
			}
			// Left out on reading: as somebody else may have written it.
			wire := []byte("\x08\x01")
			if want.Record != nil {
				wire = appendRecord(wire, fieldRecord, tt.first)
			}
			wire = appendMore(wire, []byte("k"), tt.give)
			got, err := ParseResponse(get, wire)
			if err != nil {
				t.Fatal(err)
			}
			checkEqual(t, got, want)

			// Left out on writing, so that it is all there is.
			written := AppendResponse(nil, get, Response{Record: tt.first, More: tt.give})
			var e envelope
			if e.open(written, len(written)); e.more != len(tt.want) {
				t.Errorf("wrote %d further records, want %d", e.more, len(tt.want))
			}
			if got, err = ParseResponse(get, written); err != nil {
				t.Fatal(err)
			}
			checkEqual(t, got, want)
		})
	}
	wire := appendRecord([]byte("\x08\x01"), fieldRecord, first)
	for _, more := range []string{"\xff", "\x12\x01a", "\x12\x02v", "\x0a\x01l\x12\x01c", "\x0a\x01k\x12\x01b"} {
		wire = appendBytes(wire, fieldMore, []byte(more))
	}
	got, err := ParseResponse(get, wire)
	if err != nil {
		t.Fatal(err)
	}
	want := []Record{{Key: []byte("k"), Value: []byte("a")}, {Key: []byte("k"), Value: []byte("b")}}
	checkEqual(t, got, Response{Record: first, More: want})
}

// A field of ours where it does not belong is ignored.
func TestMoreElsewhere(t *testing.T) {
	junk := []byte("\xff")
	for _, req := range requestsOfAllTypes(t) {
		resp := AppendResponse(nil, req, Response{})
		want, err := ParseResponse(req, resp)
		if err != nil {
			t.Fatal(err)
		}
		resp = appendMore(appendBytes(resp, fieldMore, junk), nil, parts(1)) // GET_VALUE has no record to be beside
		got, err := ParseResponse(req, appendBytes(resp, fieldProof, make([]byte, 2*MaxProof)))
		if err != nil {
			t.Errorf("answer to %T: %v", req, err)
		}
		checkEqual(t, got, want)

		msg := MarshalRequest(req)
		if _, ok := req.(PutValue); !ok {
			msg = appendBytes(msg, fieldMore, junk)
		}
		if _, ok := req.(AddProvider); !ok {
			msg = appendBytes(msg, fieldProof, make([]byte, 2*MaxProof))
		}
		again, err := ParseRequest(msg)
		if err != nil {
			t.Errorf("%T: %v", req, err)
		}
		checkEqual(t, again, req)
	}
}

func TestProof(t *testing.T) {
	for _, tt := range []struct {
		size int
		want error
	}{{0, nil}, {MaxProof, nil}, {MaxProof + 1, ErrTooLarge}} {
		add := AddProvider{Key: []byte("k"), Proof: bytes.Repeat([]byte("p"), tt.size)}
		if err := Check(add); !errors.Is(err, tt.want) {
			t.Errorf("%d bytes: Check() = %v, want %v", tt.size, err, tt.want)
		}
		got, err := ParseRequest(MarshalRequest(add))
		if !errors.Is(err, tt.want) {
			t.Errorf("%d bytes: error %v, want %v", tt.size, err, tt.want)
		}
		if err == nil {
			checkEqual(t, got, add)
		}
	}
}

// The largest request leaves some room below MaxValue and 64 KiB, which is what
// a server has to read at least.
func TestLargestPut(t *testing.T) {
	rec := testRecord()
	rec.Key, rec.Value, rec.Publisher = bytes.Repeat([]byte("k"), MaxKey), nil, make([]byte, MaxPublisher)
	put := PutValue{rec, slices.Repeat([]Record{rec}, MaxRecords-1)}
	put.Record.Value = make([]byte, MaxValue)
	msg := MarshalRequest(put)
	if _, err := ParseRequest(msg); err != nil {
		t.Fatal(err)
	}
	if limit := MaxValue + 48<<10; len(msg) > limit {
		t.Errorf("%d bytes, want at most %d", len(msg), limit)
	}
}
