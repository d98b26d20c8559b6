package host

import (
	"context"
	"sync"
)

type group struct {
	wg sync.WaitGroup
	mu *sync.RWMutex
}

type asker interface{ ask() }

type group2[T any] struct{ sync.Mutex }

// Go is given a function, and starts it.
func (g *group) Go(f func(context.Context)) {
	g.wg.Go(func() { f(context.Background()) })
}

func (g *group) ask() { g.Go(func(context.Context) {}) }

// go is a word here, and so is time.Now.
func (g *group2[T]) all(as ...asker) {
	var d *DHT
	for _, a := range as {
		a.ask()
	}
	d.circle()
}
