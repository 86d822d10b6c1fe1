// Package contexts has the TLS context client.
package contexts

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// ClientClient is for connections that a program opens.
func ClientClient() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		MaxVersion: tls.VersionTLS13,
	}
	roots, err := clientRoots()
	if err != nil {
		return nil, err
	}
	config.RootCAs = roots
	return config, nil
}

func clientRoots() (*x509.CertPool, error) {
	content, err := os.ReadFile("/etc/shop/roots.pem")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s has no certificate in it", "/etc/shop/roots.pem")
	}
	return roots, nil
}
