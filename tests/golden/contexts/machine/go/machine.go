// Package contexts has the TLS context machine.
package contexts

import (
	"crypto/tls"
)

// MachineClient is for connections that a program opens.
func MachineClient() (*tls.Config, error) {
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

// MachineServer is for connections that a program takes.
func MachineServer() (*tls.Config, error) {
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
