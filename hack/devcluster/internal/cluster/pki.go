package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"

	"k8s.io/client-go/util/keyutil"
)

const validity = 365 * 24 * time.Hour

// authority signs the certificates of one cluster.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// identity is a certificate with its key, both in PEM form.
type identity struct {
	certificate, key []byte
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func newAuthority() (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := certificateTemplate(pkix.Name{CommonName: "devcluster"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key, pem: encodeCertificate(der)}, nil
}

// issue signs a certificate for the subject; names and addresses are what a
// client may dial it by, and stay empty for a client certificate.
func (a *authority) issue(subject pkix.Name, names []string, addresses []net.IP) (identity, error) {
	key, err := newKey()
	if err != nil {
		return identity{}, err
	}
	template := certificateTemplate(subject)
	template.DNSNames, template.IPAddresses = names, addresses
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return identity{}, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	return identity{certificate: encodeCertificate(der), key: keyPEM}, err
}

func certificateTemplate(subject pkix.Name) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:      subject,
		SerialNumber: big.NewInt(now.UnixNano()),
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// writeServiceAccountKeys makes the pair that signs and checks tokens.
func writeServiceAccountKeys(layout Layout) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	private, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return writeFiles(layout, map[string][]byte{"sa.key": private, "sa.pub": public})
}

func writeFiles(layout Layout, files map[string][]byte) error {
	for name, content := range files {
		if err := os.WriteFile(layout.pki(name), content, 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// writePair issues a certificate and writes it with its key as BASE.crt and
// BASE.key.
func (a *authority) writePair(base string, subject pkix.Name, names []string, addresses []net.IP) error {
	issued, err := a.issue(subject, names, addresses)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(base+".crt", issued.certificate, 0o600),
		os.WriteFile(base+".key", issued.key, 0o600),
	)
}
