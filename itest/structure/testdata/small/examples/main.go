// Command examples is not drawn.
package main

import "example.com/small/host"

func main() { host.New() }
