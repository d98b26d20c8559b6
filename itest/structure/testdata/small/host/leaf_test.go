package host

import "time"

var _ = time.Now
