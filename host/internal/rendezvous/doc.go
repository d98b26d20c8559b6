// Package rendezvous keeps a node a member of a namespace: it announces the node again and
// again, searches the other members, and connects to them. Its lock guards the members and
// the changes that have not been read; it is not held while a function of Config runs.
package rendezvous
