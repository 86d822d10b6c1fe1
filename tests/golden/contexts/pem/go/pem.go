// Package contexts has the TLS context pem.
package contexts

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// PemClient is for connections that a program opens.
func PemClient() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		MaxVersion:   tls.VersionTLS13,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
		NextProtos:   []string{"h2", "http/1.1"},
	}
	pair, err := tls.LoadX509KeyPair("/etc/shop/orders.crt", "/etc/shop/orders.key")
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	roots, err := pemRoots()
	if err != nil {
		return nil, err
	}
	config.RootCAs = roots
	return config, nil
}

// PemServer is for connections that a program takes.
func PemServer() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		MaxVersion:   tls.VersionTLS13,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
		NextProtos:   []string{"h2", "http/1.1"},
	}
	pair, err := tls.LoadX509KeyPair("/etc/shop/orders.crt", "/etc/shop/orders.key")
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	roots, err := pemRoots()
	if err != nil {
		return nil, err
	}
	config.ClientCAs = roots
	config.ClientAuth = tls.VerifyClientCertIfGiven
	return config, nil
}

func pemRoots() (*x509.CertPool, error) {
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
