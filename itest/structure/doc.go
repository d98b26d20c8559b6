// Package structure measures how the module is built: the size of the type DHT, files
// that depend on each other, goroutines, clock reads, locks, the words of comments, and
// imports. It draws the imports as a picture, too.
//
// The command prints the figures, and writes architecture.svg:
//
//	make structure
//
// The tests of this package fail when a figure is over its bound, and when the picture
// is not current. Each method of [Module] states what it counts. All leave tests out,
// and files that are not built on the system at hand; "host and its rooms" means package
// host and host/internal and below.
//
// # Decisions
//
// Types, not text.
//
//   - Context: a word such as Go or Now stands in comments, strings and names of other packages.
//   - Decision: golang.org/x/tools/go/packages type-checks the packages; what they import comes
//     compiled from the Go command.
//   - Consequence: a run takes 3 s once the module is compiled.
//   - What would change it: figures that text alone shows.
//
// An arrow never crosses a box.
//
//   - Context: drawing tools place boxes anew when one import changes, and need installing.
//   - Decision: groups of rooms are columns, each package is above what it imports, and arrows
//     run between boxes at right angles.
//   - Consequence: 300 lines of layout; the same imports give the same bytes, so that a test can
//     compare them.
//   - What would change it: more packages than fit a page.
package structure
