package structure

import (
	"regexp"
	"strings"
)

// pronouns are the pronouns that stand in place of a noun.
var pronouns = regexp.MustCompile(`(?i)\b(who|whom|whoever|whose|somebody|nobody|everybody|those|that one)\b`)

// A Prose says how many words and pronouns the comments of packages have.
type Prose struct{ Words, Pronouns int }

// Rate returns the pronouns of 1000 words.
func (p Prose) Rate() float64 {
	if p.Words == 0 {
		return 0
	}
	return 1000 * float64(p.Pronouns) / float64(p.Words)
}

// Prose counts in the comments of packages, doc comments and others: words, which
// are what stands between spaces; and the pronouns who, whom, whoever, whose,
// somebody, nobody, everybody, those, that one, in upper or lower case. "Those"
// counts before a noun, too.
func (m *Module) Prose(packages ...*Package) Prose {
	var c Prose
	for _, p := range packages {
		if p == nil {
			continue
		}
		for _, f := range p.Files {
			for _, group := range f.syntax.Comments {
				var text strings.Builder
				for _, comment := range group.List {
					text.WriteString(strings.Trim(comment.Text, "/*"))
					text.WriteByte('\n')
				}
				words := strings.Fields(text.String())
				c.Words += len(words)
				c.Pronouns += len(pronouns.FindAllString(strings.Join(words, " "), -1))
			}
		}
	}
	return c
}
