package host

// leaf uses what others declare, and nothing uses it.
func leaf() { (&DHT{}).a = 1 }
