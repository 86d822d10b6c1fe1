// Package contexts has the TLS context agent.
package contexts

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
)

// AgentClient is for connections that a program opens.
func AgentClient() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		MaxVersion: tls.VersionTLS13,
	}
	pair, err := tls.LoadX509KeyPair(os.Getenv("HANDSEL_IDENTITY")+"/identity.crt", os.Getenv("HANDSEL_IDENTITY")+"/identity.key")
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	roots, err := agentRoots()
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
		return agentIsExpected(state.PeerCertificates[0])
	}
	return config, nil
}

// AgentServer is for connections that a program takes.
func AgentServer() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		MaxVersion: tls.VersionTLS13,
	}
	pair, err := tls.LoadX509KeyPair(os.Getenv("HANDSEL_IDENTITY")+"/identity.crt", os.Getenv("HANDSEL_IDENTITY")+"/identity.key")
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	roots, err := agentRoots()
	if err != nil {
		return nil, err
	}
	config.ClientCAs = roots
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return nil // that one is needed is for ClientAuth to say
		}
		return agentIsExpected(state.PeerCertificates[0])
	}
	return config, nil
}

func agentRoots() (*x509.CertPool, error) {
	content, err := os.ReadFile(os.Getenv("HANDSEL_ROOTS"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s has no certificate in it", os.Getenv("HANDSEL_ROOTS"))
	}
	return roots, nil
}

func agentIsExpected(peer *x509.Certificate) error {
	expected := map[string]bool{
		"billing.shop.internal": true,
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
