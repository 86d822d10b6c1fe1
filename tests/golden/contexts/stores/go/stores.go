// Package contexts has the TLS context stores.
package contexts

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
)

// StoresClient is for connections that a program opens.
func StoresClient() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		MaxVersion:   tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
	}
	pair, err := tls.LoadX509KeyPair("/etc/shop/orders.pem", "/etc/shop/orders.pem")
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	roots, err := storesRoots()
	if err != nil {
		return nil, err
	}
	config.RootCAs = roots
	// Not insecure: what the flag leaves out, VerifyConnection does, by the peer's names instead of the host's.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		intermediates := x509.NewCertPool()
		for _, each := range state.PeerCertificates[1:] {
			intermediates.AddCert(each)
		}
		options := x509.VerifyOptions{Roots: roots, Intermediates: intermediates}
		if _, err := state.PeerCertificates[0].Verify(options); err != nil {
			return err
		}
		return storesIsExpected(state.PeerCertificates[0])
	}
	return config, nil
}

// StoresServer is for connections that a program takes.
func StoresServer() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		MaxVersion:   tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
	}
	pair, err := tls.LoadX509KeyPair("/etc/shop/orders.pem", "/etc/shop/orders.pem")
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	roots, err := storesRoots()
	if err != nil {
		return nil, err
	}
	config.ClientCAs = roots
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return nil // that one is needed is for ClientAuth to say
		}
		return storesIsExpected(state.PeerCertificates[0])
	}
	return config, nil
}

func storesRoots() (*x509.CertPool, error) {
	content, err := os.ReadFile("/etc/shop/partners.pem")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s has no certificate in it", "/etc/shop/partners.pem")
	}
	return roots, nil
}

func storesIsExpected(peer *x509.Certificate) error {
	expected := map[string]bool{
		"spiffe://shop.internal/ns/default/sa/billing": true,
		"billing.shop.internal":                        true,
	}
	for _, each := range peer.URIs {
		if expected[each.String()] {
			return nil
		}
	}
	for _, each := range peer.DNSNames {
		if expected[strings.ToLower(each)] {
			return nil
		}
	}
	return fmt.Errorf("the peer has none of the names that are expected")
}
