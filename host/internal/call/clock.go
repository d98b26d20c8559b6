package call

import (
	"regexp"
	"strings"
	"time"
)

// certificateAge is how old a certificate of libp2p says to be when its peer has made it, as it
// starts.
const certificateAge = time.Hour

// notYet matches what package crypto/x509 says of a certificate that is not valid yet.
// go-libp2p wraps the text of the error alone.
var notYet = regexp.MustCompile(`x509: .*current time (\S+) is before (\S+)`)

// behind returns how much the clock of this host is behind that of a peer at least, if that is
// why a dial failed; 0 if not.
func behind(err error) time.Duration {
	times := notYet.FindStringSubmatch(err.Error())
	if times == nil {
		return 0
	}
	here, err1 := time.Parse(time.RFC3339, times[1])
	there, err2 := time.Parse(time.RFC3339, strings.TrimRight(times[2], ".,;:)"))
	if err1 != nil || err2 != nil {
		return 0
	}
	return there.Sub(here).Round(time.Minute) + certificateAge
}

// isBadCertificate reports whether a dial failed since the peer refused the certificate of this
// host, which is not valid yet by the peer's clock.
func isBadCertificate(err error) bool {
	text := err.Error()
	return strings.Contains(text, "tls: bad certificate") && (strings.Contains(text, "remote error") || strings.Contains(text, "(remote)"))
}
