// Package validate says which value may stand under a key, which of two is better, and
// how the values of a key that holds a set are merged, packed and bounded. It is pure:
// no lock, no clock, no host.
package validate
