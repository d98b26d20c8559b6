package host

import "example.com/small/routing"

func (d *DHT) circle() {
	g := &group2[int]{}
	g.all()
	_ = routing.Size
}
