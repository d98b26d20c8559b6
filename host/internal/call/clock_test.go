package call

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-kad/kad/host/internal/kaderr"
)

// notValid returns what verifying a certificate fails with that is valid from some time on.
func notValid(t *testing.T, from time.Time) error {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: from.AddDate(100, 0, 0)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	if _, err = cert.Verify(x509.VerifyOptions{Roots: pool}); err == nil {
		t.Fatal("the certificate is valid")
	}
	return err
}

// A dial that failed for a clock that is wrong says so, and by how much, where it is known.
func TestWrongClock(t *testing.T) {
	// The peer has started when its clock said two hours more, and its certificate is an hour older.
	verify := notValid(t, time.Now().Add(time.Hour))
	for _, c := range []struct {
		cause, want string
		off         time.Duration
	}{
		{fmt.Sprintf("failed to negotiate security protocol: certificate verification failed: %s", verify), "behind that of the peer, by 2h0m0s or more", -2 * time.Hour},
		{fmt.Sprintf("CRYPTO_ERROR 0x12a (local): tls: bad certificate: certificate verification failed: %s", verify), "behind that of the peer, by 2h0m0s or more", -2 * time.Hour},
		{"failed to negotiate security protocol: remote error: tls: bad certificate", "probably ahead", time.Hour},
		{"CRYPTO_ERROR 0x12a (remote): tls: bad certificate", "probably ahead", time.Hour},
	} {
		cause := errors.New(c.cause)
		err := explained(cause)
		clock, ok := errors.AsType[*kaderr.ClockError](err)
		if !errors.Is(err, cause) || !ok || clock.Off != c.off || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, want %q in it, and %v", err, c.want, c.off)
		}
	}
	for _, text := range []string{"x509: current time now is before then", "tls: bad certificate", "connection refused"} {
		if err := explained(errors.New(text)); err.Error() != text {
			t.Errorf("%q is explained as %q", text, err)
		}
	}
}
