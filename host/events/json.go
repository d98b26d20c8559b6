package events

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// MarshalJSON returns one object: "type" and "at", "missed" unless it is 0, "says" of a
// [Change], and the fields of What. Their names are in lower case with underscores. A
// duration is in milliseconds, and its name ends in _ms.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.What == nil {
		return nil, fmt.Errorf("kad: the event has no content")
	}
	object := map[string]any{"type": e.What.Type(), "at": e.At}
	if e.Missed > 0 {
		object["missed"] = e.Missed
	}
	if c, ok := e.What.(Change); ok {
		object["says"], _ = c.Says()
	}
	v := reflect.ValueOf(e.What)
	for i := range v.NumField() {
		name := underscored(v.Type().Field(i).Name)
		switch value := v.Field(i).Interface().(type) {
		case time.Duration:
			object[name+"_ms"] = float64(value) / float64(time.Millisecond)
		default:
			object[name] = value
		}
	}
	return json.Marshal(object)
}

// underscored returns a name of a field in lower case, with an underscore before each
// word but the first.
func underscored(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
