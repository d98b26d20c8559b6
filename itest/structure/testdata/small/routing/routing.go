// Package routing: who is WHO, and whose. Not "whole", nor "that oneness", but
// that
// one.
package routing

// Size of 10.
const Size = 10 /* those */
