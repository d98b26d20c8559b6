// Package kadtest makes networks of DHTs in memory.
package kadtest
