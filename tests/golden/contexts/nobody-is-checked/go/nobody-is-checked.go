// Package contexts has the TLS context nobody-is-checked.
package contexts

import (
	"crypto/tls"
)

// NobodyIsCheckedClient is for connections that a program opens.
func NobodyIsCheckedClient() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		MaxVersion: tls.VersionTLS13,
	}
	pair, err := tls.LoadX509KeyPair("/etc/shop/orders.pem", "/etc/shop/orders.pem")
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	config.InsecureSkipVerify = true // INSECURE: for tests only
	return config, nil
}

// NobodyIsCheckedServer is for connections that a program takes.
func NobodyIsCheckedServer() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		MaxVersion: tls.VersionTLS13,
	}
	pair, err := tls.LoadX509KeyPair("/etc/shop/orders.pem", "/etc/shop/orders.pem")
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}
